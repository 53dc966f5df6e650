// SPDX-License-Identifier: Apache-2.0
// bench/start.h — from the start of a process to the first logits: this very program, run again and again.
#pragma once
#include <string>
#include <vector>

#include "bench/work.h"

namespace fovea::bench {

/// One way of starting: what was measured of several processes, one after the other.
struct Start {
  std::string name;                                // "cold", "from the plan cache", ...
  std::vector<double> ms;                          // until the logits were told, fastest first
  std::vector<double> peak_mb;                     // most memory (resident), likewise sorted
  double kept_ms = 0;                              // how much longer the slowest took to end: it filled the cache
};

/// Computes one batch and writes {"load_s", "first_ms", "from_cache", "out"} as one line; then fills the plan cache
/// where that was asked for.
void answer_once(const WorkOptions& o);

/// Starts `program` ("/proc/self/exe") `runs` times in each way: as usual, with the weights' file out of memory, on an
/// empty plan cache, from the plan cache. Without weights, first values are written to a temporary file and read from
/// there. Throws Error(io) when a process fails.
std::vector<Start> measure_starts(const std::string& program, WorkOptions o, int threads, int runs,
                                  Progress& progress);
std::string start_table(const std::string& model, const std::vector<Start>& starts);
std::string start_json(const std::string& model, const std::vector<Start>& starts);

}  // namespace fovea::bench
