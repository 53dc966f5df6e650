// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/caches.h — how large the caches of this machine are: blocks of work are cut to them.
#pragma once
#include <cstdint>

namespace fovea::kernels::cpu {

/// Bytes of data that one core's caches hold.
struct Caches {
  int64_t first = 32 << 10, second = 1 << 20;
};

/// As the system tells, read once; where it tells nothing, as Caches says.
const Caches& caches();

}  // namespace fovea::kernels::cpu
