// SPDX-License-Identifier: Apache-2.0
// bench/compare.h — two profiled runs step by step: two builds, types, processors or settings.
#pragma once
#include <string>
#include <vector>

#include "bench/result.h"

namespace fovea::bench {

/// A step as a comparison sees it: from a Result, or from the JSON of an earlier one.
struct SnapshotStep {
  std::string module, op, kernel, kind, detail, operands;
  double us = 0, us_low = 0, us_high = 0;
};

/// What one run said.
struct Snapshot {
  std::string model, dtype, cpu, isa, version;
  bool train = false;
  int batch = 1, threads = 1;
  double median_ms = 0, canary_us = 0;             // canary_us: 0 where nobody timed one
  bool noisy = false;
  std::vector<SnapshotStep> steps;

  double steps_us() const;
  /// "resnet50, f32, batch 1, 2 threads, avx512, fovea 0.1.0 on Some processor"
  std::string title() const;
};
Snapshot snapshot_of(const Result& r, const Machine& m, const std::string& version);
/// Of a file that `fovea bench --json --per-op` wrote. Throws Error(format) with what is missing.
std::vector<Snapshot> read_snapshots(const std::string& path);

/// One step of both runs, or of one of them alone.
struct StepPair {
  const SnapshotStep *before = nullptr, *now = nullptr;    // in Comparison::before and ::now
  const SnapshotStep& any() const { return now ? *now : *before; }
  double before_us() const { return before ? before->us : 0; }
  double now_us() const { return now ? now->us : 0; }
  double difference() const { return now_us() - before_us(); }
  double ratio() const { return before && now && now->us > 0 ? before->us / now->us : 0; }   // above 1: quicker now
  bool changed_kernel() const { return before && now && before->kernel != now->kernel; }
};

struct Comparison {
  Snapshot before, now;
  std::vector<StepPair> pairs;                     // in the order of `now`; steps of `before` alone where they were

  Comparison(Snapshot old_run, Snapshot new_run);
  Comparison(const Comparison&) = delete;          // pairs point into this object
  Comparison& operator=(const Comparison&) = delete;

  double ratio() const { return before.median_ms / now.median_ms; }    // above 1: quicker now
  /// What the machine itself was: above 1, its canary took longer in the earlier run. 0: not known.
  double machine_ratio() const;
  size_t changed_kernels() const;
  size_t alone() const;                            // steps that only one of them has
};

/// For people: totals, then the `top` steps (0: all) whose time changed most.
std::string comparison_table(const Comparison& c, size_t top);
std::string comparison_json(const Comparison& c);

}  // namespace fovea::bench
