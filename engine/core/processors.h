// SPDX-License-Identifier: Apache-2.0
// engine/core/processors.h — how many processors this process may keep busy: its affinity mask and its cgroups' quotas.
#pragma once
#include <sched.h>

#include <cstddef>
#include <string>

namespace fovea {

/// At least 1: the smaller of the affinity mask's count and the quota of the control groups, rounded up.
int usable_processors();

/// The processors of an affinity mask of any size. `get` is sched_getaffinity(0, ...): the mask grows until it no
/// longer says EINVAL. 0 when nothing can be found out.
int processors_of_mask(int (*get)(size_t bytes, cpu_set_t* mask));

/// How many processors' time the groups of this process (versions 1 and 2, with all groups above) leave it: 1.5 for
/// 150 ms in each 100. 0: no limit. The kernel's files are read below `root` ("": the system's own).
double cgroup_quota(const std::string& root);

}  // namespace fovea
