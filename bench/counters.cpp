// SPDX-License-Identifier: Apache-2.0
#include "bench/counters.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/core/text.h"

namespace fovea::bench {
namespace {

int open_event(uint32_t type, uint64_t config, int thread, int leader) {
  perf_event_attr a{};
  a.size = sizeof a;
  a.type = type;
  a.config = config;
  a.exclude_kernel = 1;                            // what everybody may count of his own
  a.exclude_hv = 1;
  a.read_format = PERF_FORMAT_GROUP;
  return static_cast<int>(syscall(SYS_perf_event_open, &a, thread, -1, leader, PERF_FLAG_FD_CLOEXEC));
}

std::vector<int> threads_of_process() {
  std::vector<int> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", ignored))
    out.push_back(std::atoi(entry.path().filename().c_str()));
  return out;
}

}  // namespace

void Counters::open_all(uint32_t type, const std::vector<std::pair<const char*, uint64_t>>& events) {
  const size_t first = names_.size();
  std::vector<Group> made;
  for (const int thread : threads_of_process()) {
    Group g{.leader = -1, .first = first, .count = 0};
    for (const auto& [name, config] : events) {
      const int file = open_event(type, config, thread, g.leader);
      if (file < 0) {
        if (made.empty() && type == PERF_TYPE_HARDWARE && refused_.empty())
          refused_ = str_cat("perf_event_open of ", name, ": ", std::strerror(errno));
        break;
      }
      files_.push_back(file);
      if (g.leader < 0) g.leader = file;
      ++g.count;
    }
    if (g.count == events.size()) made.push_back(g);
  }
  if (made.empty()) return;
  refused_ = type == PERF_TYPE_HARDWARE ? "" : refused_;
  for (const auto& [name, config] : events) names_.emplace_back(name);
  groups_.insert(groups_.end(), made.begin(), made.end());
}

Counters::Counters() {
  open_all(PERF_TYPE_HARDWARE, {{"cycles", PERF_COUNT_HW_CPU_CYCLES},
                                {"instructions", PERF_COUNT_HW_INSTRUCTIONS},
                                {"cache_misses", PERF_COUNT_HW_CACHE_MISSES}});
  open_all(PERF_TYPE_SOFTWARE, {{"task_clock_ns", PERF_COUNT_SW_TASK_CLOCK},
                                {"page_faults", PERF_COUNT_SW_PAGE_FAULTS},
                                {"context_switches", PERF_COUNT_SW_CONTEXT_SWITCHES}});
}

Counters::~Counters() {
  for (const int file : files_) ::close(file);
}

std::vector<uint64_t> Counters::read() const {
  std::vector<uint64_t> sums(names_.size(), 0);
  for (const Group& g : groups_) {
    uint64_t values[8] = {};                       // how many, then each
    if (::read(g.leader, values, sizeof values) <= 0) continue;
    for (size_t i = 0; i < g.count; ++i) sums[g.first + i] += values[1 + i];
  }
  return sums;
}

void CountingWatch::step_ended() {
  const std::vector<uint64_t> after = counters_.read();
  if (step_ == sums_.size()) sums_.emplace_back(after.size(), 0);
  for (size_t i = 0; i < after.size(); ++i) sums_[step_][i] += after[i] - before_[i];
  ++step_;
}

}  // namespace fovea::bench
