// SPDX-License-Identifier: Apache-2.0
// bench/counters.h — Counters: what processor and system count of all threads of this process, by perf_event_open().
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/watch.h"

namespace fovea::bench {

class Counters {
 public:
  /// Of the threads that there are now; those that cannot be counted are left out.
  Counters();
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  /// "cycles", "instructions", "cache_misses" where the processor's counters may be read; always what the system
  /// counts: "task_clock_ns", "page_faults", "context_switches", unless that is forbidden, too.
  const std::vector<std::string>& names() const { return names_; }
  const std::string& refused() const { return refused_; }  // why there are no processor's counters; "" where there are
  std::vector<uint64_t> read() const;              // sums over all threads, as names() has them

 private:
  void open_all(uint32_t type, const std::vector<std::pair<const char*, uint64_t>>& events);
  struct Group {
    int leader = -1;
    size_t first = 0, count = 0;                   // in names_
  };
  std::vector<std::string> names_;
  std::string refused_;
  std::vector<Group> groups_;
  std::vector<int> files_;
};

/// Adds up what is counted during each step of profiled runs.
class CountingWatch final : public Watch {
 public:
  explicit CountingWatch(const Counters& c) : counters_(c) {}
  void run_begins() { step_ = 0; }
  void step_begins() override { before_ = counters_.read(); }
  void step_ended() override;
  void piece(int, Clock::time_point, Clock::time_point) override {}
  const std::vector<std::vector<uint64_t>>& sums() const { return sums_; }     // by step, then as Counters::names()

 private:
  const Counters& counters_;
  size_t step_ = 0;
  std::vector<uint64_t> before_;
  std::vector<std::vector<uint64_t>> sums_;
};

}  // namespace fovea::bench
