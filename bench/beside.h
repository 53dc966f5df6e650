// SPDX-License-Identifier: Apache-2.0
// bench/beside.h — how much longer a batch takes on a machine that is busy with something else.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "bench/work.h"

namespace fovea::bench {

/// Processes that each keep one processor busy for as long as this object lives.
class BusyProcesses {
 public:
  explicit BusyProcesses(int n);                   // throws Error(io) when the system starts no more
  ~BusyProcesses() { stop(); }
  BusyProcesses(const BusyProcesses&) = delete;
  BusyProcesses& operator=(const BusyProcesses&) = delete;

  std::span<const int> ids() const { return ids_; }   // of the processes

 private:
  void stop();

  std::vector<int> ids_;
};

/// Medians in milliseconds, with so many threads.
struct BesideRow {
  int threads = 1;
  double idle_ms = 0, beside_ms = 0;
  double ratio() const { return beside_ms / idle_ms; }
};
struct Beside {
  std::string model, dtype;
  int batch = 1, busy = 0, runs = 0;
  std::vector<BesideRow> rows;                     // with threads() threads; then, where those are several, with one
};
/// Times a compiled model idle and beside `busy` processes by turns, about `runs` times each.
Beside run_beside(const WorkOptions& o, int busy, int runs);
std::string beside_table(const Beside& b);

}  // namespace fovea::bench
