// SPDX-License-Identifier: Apache-2.0
// bench/result.h — Result: what a benchmark of one model found, and the forms in which it is told.
#pragma once
#include <string>
#include <vector>

#include "bench/lanes.h"
#include "bench/machine.h"
#include "bench/samples.h"
#include "bench/work.h"

namespace fovea::bench {

struct StepTime {
  StepInfo step;
  double seconds = 0;                              // median over the runs that count
  double low = 0, high = 0;                        // a tenth of those runs was shorter, a tenth longer
  double least_seconds = 0;                        // by the roofline; 0: the machine was not measured
  std::vector<double> counts{};                    // a run's mean, as Result::counters has them
};

/// A stretch of the session's working memory, and the steps (first and last included) that need it.
struct Block {
  size_t first = 0, last = 0;
  int64_t offset = 0, bytes = 0;
  std::string name;                                // of the step that makes it, its first: "layer1.0.conv1 conv"
};

struct Result {
  std::string model, dtype;
  std::string error;                               // not empty: it failed, and only the model's name is given
  bool train = false;
  int batch = 1, threads = 1, height = 0, width = 0;
  double load_seconds = 0, first_ms = 0;           // until it could run; its first run
  bool from_cache = false;                         // it was not loaded, but mapped from the plan cache
  std::vector<double> ms;                          // of the timed runs that count, fastest first
  std::vector<double> cpu_ms;                      // of the same runs: processor time of all threads, waiting ones too
  double forward_ms = 0, backward_ms = 0, update_ms = 0;   // of a training step's steps; 0 unless profiled
  Noise noise, step_noise;                         // while whole runs were timed, and while their steps were
  int64_t parameters = 0;
  double macs = 0, activations = 0;                // of one image; 0 when training
  int64_t arena_bytes = 0, constant_bytes = 0;     // 0 when it ran eagerly
  bool side_by_side = false;                       // images one a thread: then steps are of one image on one thread
  std::vector<StepTime> steps;                     // in order; empty unless profiled
  std::vector<Block> memory;                       // likewise
  std::vector<LaneSlice> lanes;                    // what each thread did in one run of the steps; likewise
  std::vector<std::string> counters;               // what was counted in each step, where that was asked for
  std::string no_counters;                         // why the processor's own are not among them

  double median_ms() const { return quantile(ms, 0.5); }
  double images_per_second() const { return batch * 1e3 / median_ms(); }
  double steps_seconds() const;                    // the sum of their medians
  double least_seconds() const;                    // likewise by the roofline
};

struct RunOptions {
  WorkOptions work;
  int repeat = 50;
  bool profile = false;
  bool detail = false;                             // of a training step: the time of its phases
  bool counters = false;                           // count cycles and more in each step
  bool smaller_batches = false;                    // where memory is short: half the batch, again and again
};
Result run(const RunOptions& o, const Machine& machine, Progress& progress);

/// "resnet50.a1_in1k  batch 1  f32 ...: median 28.7 ms ...", one line.
std::string summary(const Result& r);
/// "(others used the machine: ...)", or "" where enough runs had it for themselves.
std::string noise_text(const Noise& n);
/// Every step, or the `top` slowest; then the sum for each kernel.
std::string step_table(const Result& r, size_t top = 0);
std::string machine_table(const Machine& m);

/// The columns of timm's tables.
std::string csv_header(bool train, bool detail = false);   // detail: forward, backward and update of a step
std::string csv_row(const Result& r);
/// A row a step; cells with commas stand in quotes.
std::string step_csv_header();
std::string step_csv_rows(const Result& r);
/// A list: the same columns and more, the machine where it was measured, the steps where they were profiled.
std::string json_list(const std::vector<Result>& results, const Machine& m, const std::string& version);

/// Chrome's trace format: for every model a process with its modules and steps, each as long as its median.
std::string chrome_trace(const std::vector<Result>& results);

/// "f32 1x64x56x56"
std::string short_text(const Meta& m);
/// "f32 1x64x56x56, 64x64x3x3 -> 1x64x56x56"
std::string shapes(const StepInfo& s);

}  // namespace fovea::bench
