// SPDX-License-Identifier: Apache-2.0
// test/engine/processors.cpp — quotas of control groups as the kernel's files tell them, and masks of any size.
#include "engine/core/processors.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Tree {
  Scratch root;
  void put(const std::string& path, std::string_view content) const {
    std::filesystem::create_directories(std::filesystem::path(root / path).parent_path());
    root.file(path, content);
  }
  double quota() const { return cgroup_quota(root / ""); }
};

constexpr std::string_view kV2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

// Masks of these many processors, as a kernel with so many would fill them.
template <int kProcessors>
int get_mask(size_t bytes, cpu_set_t* mask) {
  if (bytes * 8 < kProcessors) {
    errno = EINVAL;
    return -1;
  }
  std::memset(mask, 0, bytes);
  for (size_t i = 0; i < kProcessors; ++i) CPU_SET_S(i, bytes, mask);
  return 0;
}

}  // namespace

TEST_CASE("quotas of control groups, version 2", "[threads]") {
  const Tree t;
  CHECK(t.quota() == 0);  // no files at all
  t.put("proc/self/mountinfo", kV2);
  t.put("proc/self/cgroup", "0::/user.slice/job 1\n");
  CHECK(t.quota() == 0);
  t.put("sys/fs/cgroup/user.slice/job 1/cpu.max", "max 100000\n");
  CHECK(t.quota() == 0);
  t.put("sys/fs/cgroup/user.slice/job 1/cpu.max", "150000 100000\n");
  CHECK(t.quota() == 1.5);
  t.put("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");  // what is above counts, too
  CHECK(t.quota() == 0.5);
  t.put("sys/fs/cgroup/user.slice/cpu.max", "800000 100000\n");
  t.put("sys/fs/cgroup/cpu.max", "garbage\n");
  CHECK(t.quota() == 1.5);
  for (const char* outside : {"0::/../elsewhere\n", "0::/..\n", "0::nowhere\n", "0::/\n"}) {
    t.put("proc/self/cgroup", outside);  // seen from within a container
    t.put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    CHECK(t.quota() == 3);
  }
}

TEST_CASE("quotas of control groups, version 1", "[threads]") {
  const Tree t;
  t.put("proc/self/mountinfo",
        "33 32 0:29 / /sys/fs/cgroup/cpuset rw shared:8 - cgroup cgroup rw,cpuset\n"
        "34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw master:9 shared:9 - cgroup cgroup rw,cpu,cpuacct\n");
  t.put("proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/docker/1f/work\n1:name=systemd:/x\n");
  const std::string group = "sys/fs/cgroup/cpu,cpuacct/docker/1f";
  t.put(group + "/work/cpu.cfs_quota_us", "-1\n");
  t.put(group + "/work/cpu.cfs_period_us", "100000\n");
  CHECK(t.quota() == 0);
  t.put(group + "/cpu.cfs_quota_us", "200000\n");
  CHECK(t.quota() == 0);  // no period
  t.put(group + "/cpu.cfs_period_us", "50000\n");
  CHECK(t.quota() == 4);
  t.put(group + "/work/cpu.cfs_quota_us", "250000\n");
  CHECK(t.quota() == 2.5);
}

TEST_CASE("quotas of control groups: a container sees its own part of the tree", "[threads]") {
  const Tree t;
  t.put("proc/self/mountinfo",
        "34 32 0:30 /docker/1f /sys/fs/cgroup/with\\040blank ro - cgroup cgroup rw,cpu\n"
        "35 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  t.put("proc/self/cgroup", "4:cpu:/docker/1f/in\n0::/docker/1f\n");
  const std::string mount = "sys/fs/cgroup/with blank";
  t.put(mount + "/cpu.cfs_quota_us", "700000");
  t.put(mount + "/cpu.cfs_period_us", "100000");
  CHECK(t.quota() == 7);
  t.put(mount + "/in/cpu.cfs_quota_us", "300000");
  t.put(mount + "/in/cpu.cfs_period_us", "100000");
  CHECK(t.quota() == 3);
  t.put("proc/self/cgroup", "4:cpu:/docker/1fa/in\n0::/docker/1f\n");  // not below what is mounted
  CHECK(t.quota() == 7);
  t.put("sys/fs/cgroup/unified/docker/1f/cpu.max", "200000 100000\n");  // both versions at once: the smaller counts
  CHECK(t.quota() == 2);
}

TEST_CASE("quotas of control groups where mounts are not told", "[threads]") {
  const Tree t;
  t.put("proc/self/cgroup", "0::/a\n");
  t.put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
  CHECK(t.quota() == 1);
}

TEST_CASE("affinity masks of any size", "[threads]") {
  CHECK(processors_of_mask(get_mask<1>) == 1);
  CHECK(processors_of_mask(get_mask<1024>) == 1024);
  CHECK(processors_of_mask(get_mask<1025>) == 1025);
  CHECK(processors_of_mask(get_mask<9000>) == 9000);
  CHECK(processors_of_mask([](size_t, cpu_set_t*) { return errno = EPERM, -1; }) == 0);
  CHECK(usable_processors() >= 1);
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_processors() == 1);
  sched_setaffinity(0, sizeof before, &before);
}
