// SPDX-License-Identifier: Apache-2.0
#include "engine/core/processors.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <vector>

namespace fovea {
namespace {

// Where a hierarchy of groups is to be found: what its processes call `root` lies at `mount`.
struct Hierarchy {
  bool v2 = false;
  std::string root = "/", mount;
};

// "cpu" in "rw,cpu,cpuacct"
bool has_word(std::string_view list, std::string_view word) {
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

// The kernel writes blanks and backslashes of paths as \040.
std::string unescaped(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\' && i + 3 < s.size()) {
      out += static_cast<char>((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 + (s[i + 3] - '0'));
      i += 3;
    } else {
      out += s[i];
    }
  }
  return out;
}

// The mounted hierarchies that may limit processor time. A line is "31 23 0:28 ROOT MOUNT rw shared:1 - TYPE SOURCE
// OPTIONS", with any number of fields before the dash.
std::vector<Hierarchy> mounted(const std::string& root) {
  std::vector<Hierarchy> out;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string skipped, from, at, word, type, source, options;
    fields >> skipped >> skipped >> skipped >> from >> at;
    while (fields >> word && word != "-") {}
    fields >> type >> source >> options;
    if (type == "cgroup2" || (type == "cgroup" && has_word(options, "cpu")))
      out.push_back({type == "cgroup2", unescaped(from), unescaped(at)});
  }
  if (!out.empty()) return out;
  return {
      {true, "/", "/sys/fs/cgroup"}, {false, "/", "/sys/fs/cgroup/cpu"}, {false, "/", "/sys/fs/cgroup/cpu,cpuacct"}};
}

// The group of this process in a hierarchy: "0::/user.slice" of version 2, "4:cpu,cpuacct:/docker/1f" of version 1.
// Nothing when it is in none.
std::unique_ptr<std::string> group_in(const Hierarchy& h, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    if (h.v2 ? controllers.empty() && line.starts_with("0:") : has_word(controllers, "cpu"))
      return std::make_unique<std::string>(line.substr(second + 1));
  }
  return nullptr;
}

// Below the mount, "" for the mount itself. A container may see only its own part of the hierarchy, while its group
// is told as the host knows it, or as one outside ("/..").
std::string below_mount(const Hierarchy& h, std::string group) {
  if (h.root != "/") {
    const bool inside = group.starts_with(h.root) && (group.size() == h.root.size() || group[h.root.size()] == '/');
    group = inside ? group.substr(h.root.size()) : "";
  }
  if (!group.starts_with('/') || (group + "/").find("/../") != group.npos) group.clear();
  while (group.ends_with('/')) group.pop_back();
  return group;
}

// 0: no limit, or none that can be read.
double quota_of(const std::string& folder, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    if (!(std::ifstream(folder + "/cpu.max") >> quota >> period)) return 0;  // "max 100000" is no number
  } else if (!(std::ifstream(folder + "/cpu.cfs_quota_us") >> quota) ||
             !(std::ifstream(folder + "/cpu.cfs_period_us") >> period)) {
    return 0;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

double cgroup_quota(const std::string& root) {
  double least = 0;
  for (const Hierarchy& h : mounted(root)) {
    const std::unique_ptr<std::string> group = group_in(h, root);
    if (!group) continue;
    for (std::string below = below_mount(h, *group);; below.resize(below.rfind('/'))) {
      const double quota = quota_of(root + h.mount + below, h.v2);
      if (quota > 0 && (least == 0 || quota < least)) least = quota;
      if (below.empty()) break;
    }
  }
  return least;
}

int processors_of_mask(int (*get)(size_t bytes, cpu_set_t* mask)) {
  constexpr int kFirst = 1024, kMost = 1 << 22;
  for (int processors = kFirst; processors <= kMost; processors *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(static_cast<size_t>(processors)),
                                                                [](cpu_set_t* m) { CPU_FREE(m); });
    if (!mask) return 0;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(processors));
    CPU_ZERO_S(bytes, mask.get());
    if (get(bytes, mask.get()) == 0) return CPU_COUNT_S(bytes, mask.get());
    if (errno != EINVAL) return 0;  // EINVAL: the machine has more processors than the mask has bits
  }
  return 0;
}

int usable_processors() {
  const int mask = processors_of_mask([](size_t bytes, cpu_set_t* m) { return sched_getaffinity(0, bytes, m); });
  const double quota = cgroup_quota("");
  const int most = std::max(mask, 1);
  return quota > 0 && quota < most ? static_cast<int>(std::ceil(quota)) : most;
}

}  // namespace fovea
