// SPDX-License-Identifier: Apache-2.0
// bench/result.h — Result: what a benchmark of one model found, and the forms in which it is told.
#pragma once
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/work.h"

namespace fovea::bench {

struct StepTime {
  StepInfo step;
  double seconds = 0;                              // median over the runs
  double least_seconds = 0;                        // by the roofline; 0: the machine was not measured
};

/// A stretch of the session's working memory, and the steps (first and last included) that need it.
struct Block {
  size_t first = 0, last = 0;
  int64_t offset = 0, bytes = 0;
  std::string name;                                // of the step that makes it: "layer1.0.conv1 conv"
  std::string_view op;
};

struct Result {
  std::string model, dtype;
  std::string error;                               // not empty: it failed, and only the model's name is given
  bool train = false;
  int batch = 1, threads = 1, height = 0, width = 0;
  double load_seconds = 0, first_ms = 0;           // until it could run; its first run
  bool from_cache = false;                         // it was not loaded, but mapped from the plan cache
  std::vector<double> ms;                          // of the timed runs, fastest first
  int64_t parameters = 0;
  double macs = 0, activations = 0;                // of one image; 0 when training
  int64_t arena_bytes = 0, constant_bytes = 0;     // 0 when it ran eagerly
  bool side_by_side = false;                       // images one a thread: then steps are of one image on one thread
  std::vector<StepTime> steps;                     // in order; empty unless profiled
  std::vector<Block> memory;                       // likewise

  double median_ms() const { return ms[ms.size() / 2]; }
  double images_per_second() const { return batch * 1e3 / median_ms(); }
  double steps_seconds() const;                    // the sum of their medians
  double least_seconds() const;                    // likewise by the roofline
};

struct RunOptions {
  WorkOptions work;
  int repeat = 50;
  bool profile = false;
};
Result run(const RunOptions& o, const Machine& machine, Progress& progress);

/// "resnet50.a1_in1k  batch 1  f32 ...: median 28.7 ms ...", one line.
std::string summary(const Result& r);
/// Every step, or the `top` slowest; then the sum for each kernel.
std::string step_table(const Result& r, size_t top = 0);
std::string machine_table(const Machine& m);

/// The columns of timm's tables.
std::string csv_header(bool train);
std::string csv_row(const Result& r);
/// A list: the same columns and more, the machine where it was measured, the steps where they were profiled.
std::string json_list(const std::vector<Result>& results, const Machine& m, const std::string& version);

/// Chrome's trace format: for every model a process with its modules and steps, each as long as its median.
std::string chrome_trace(const std::vector<Result>& results);
/// One page with plots that needs nothing else.
std::string html_page(const std::vector<Result>& results, const Machine& m, const std::string& version);

/// "f32 1x64x56x56"
std::string short_text(const Meta& m);
/// "f32 1x64x56x56, 64x64x3x3 -> 1x64x56x56"
std::string shapes(const StepInfo& s);

}  // namespace fovea::bench
