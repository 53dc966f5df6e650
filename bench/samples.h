// SPDX-License-Identifier: Apache-2.0
// bench/samples.h — Samples: times of one thing measured many times; which of them count on a machine that others use,
// and how they are spread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/canary.h"
#include "bench/progress.h"

namespace fovea::bench {

/// The value below which this part of sorted values lies: the nearest of them, 0.5 the upper median. 0 for none.
double quantile(const std::vector<double>& sorted, double part);
/// Of values in any order.
double median(std::vector<double> values);

/// Equal stretches from the least to the most of some values, and how many lie in each.
struct Histogram {
  double from = 0, width = 0;
  std::vector<int64_t> counts;
};
Histogram histogram(const std::vector<double>& sorted, size_t most_bins = 40);

/// How much of the machine others took meanwhile.
struct Noise {
  double canary_best = 0, canary_median = 0;       // seconds of a turn
  int runs = 0, calm = 0;                          // all that were tried; those with calm canaries before and after
  int64_t preempted = 0;                           // how often the system took a processor from one of our threads
  bool noisy = false;                              // runs that were not calm had to count
  /// 1: the canary always sang as fast as at its best.
  double slowdown() const { return canary_best > 0 ? canary_median / canary_best : 1; }
};

/// A canary may take this much longer than its best beside a run that counts without reserve.
constexpr double kCalm = 1.1;

/// Which runs count: `wanted` of them (all, if there are fewer), those with the quickest canaries beside them. What a
/// run itself took does not matter.
std::vector<size_t> calmest(const std::vector<double>& canaries, size_t wanted);

/// body(i) with a canary before and after, until `wanted` runs were calm, at most three times as many. Returns which
/// of them count, in the order in which they ran.
template <class Body>
std::vector<size_t> run_calmly(size_t wanted, Noise& noise, const Body& body);

/// Follows the runs of run_calmly().
class RunWatch {
 public:
  explicit RunWatch(size_t wanted);
  bool wants_more() const;
  void done();                                     // a run has ended
  std::vector<size_t> finish(Noise& noise) const;

 private:
  static constexpr size_t kMostTries = 3;
  static constexpr double kMostSeconds = 30;       // beyond the wanted ones
  size_t calm() const;
  Canary canary_;
  size_t wanted_;
  double before_, begun_, wanted_done_ = 0;
  std::vector<double> worst_;                      // of each run: the slower of the two canaries
  int64_t preempted_;
};

template <class Body>
std::vector<size_t> run_calmly(size_t wanted, Noise& noise, const Body& body) {
  RunWatch watch(wanted);
  for (size_t i = 0; watch.wants_more(); ++i) {
    body(i);
    watch.done();
  }
  return watch.finish(noise);
}

}  // namespace fovea::bench
