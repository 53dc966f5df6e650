// SPDX-License-Identifier: Apache-2.0
#include "bench/samples.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fovea::bench {
namespace {

int64_t preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

}  // namespace

double quantile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(part * static_cast<double>(sorted.size()));
  return sorted[std::min(at, sorted.size() - 1)];
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return quantile(values, 0.5);
}

// As many bins as the rule of Freedman and Diaconis asks for: twice the middle half over the cube root of the count.
Histogram histogram(const std::vector<double>& sorted, size_t most_bins) {
  if (sorted.empty()) return {};
  Histogram h{.from = sorted.front(), .width = 0, .counts = {}};
  const double range = sorted.back() - sorted.front();
  const double rule = 2 * (quantile(sorted, 0.75) - quantile(sorted, 0.25)) /
                      std::cbrt(static_cast<double>(sorted.size()));
  const double wanted = range > 0 ? std::ceil(range / std::max(rule, range / static_cast<double>(most_bins))) : 1;
  const size_t bins = std::clamp<size_t>(static_cast<size_t>(wanted), 1, most_bins);
  h.width = range / static_cast<double>(bins);
  h.counts.assign(bins, 0);
  for (const double v : sorted)
    ++h.counts[range > 0 ? std::min(bins - 1, static_cast<size_t>((v - h.from) / h.width)) : 0];
  return h;
}

std::vector<size_t> calmest(const std::vector<double>& canaries, size_t wanted) {
  std::vector<size_t> order(canaries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return canaries[a] < canaries[b]; });
  order.resize(std::min(order.size(), wanted));
  std::sort(order.begin(), order.end());
  return order;
}

RunWatch::RunWatch(size_t wanted)
    : wanted_(wanted), before_(canary_.sing()), begun_(now()), preempted_(preemptions()) {}

size_t RunWatch::calm() const {
  const double limit = kCalm * canary_.best();
  return static_cast<size_t>(std::count_if(worst_.begin(), worst_.end(), [&](double c) { return c <= limit; }));
}

bool RunWatch::wants_more() const {
  if (worst_.size() < wanted_) return true;
  if (worst_.size() >= kMostTries * wanted_ || now() - begun_ - wanted_done_ > kMostSeconds) return false;
  return calm() < wanted_;
}

void RunWatch::done() {
  const double after = canary_.sing();
  worst_.push_back(std::max(before_, after));
  before_ = after;
  if (worst_.size() == wanted_) wanted_done_ = now() - begun_;
}

std::vector<size_t> RunWatch::finish(Noise& noise) const {
  const size_t calm_runs = calm();
  noise = {.canary_best = canary_.best(),
           .canary_median = canary_.median(),
           .runs = static_cast<int>(worst_.size()),
           .calm = static_cast<int>(calm_runs),
           .preempted = preemptions() - preempted_,
           .noisy = calm_runs < wanted_};
  if (calm_runs < wanted_) return calmest(worst_, wanted_);
  std::vector<size_t> first;                       // calm ones, as they came
  for (size_t i = 0; i < worst_.size() && first.size() < wanted_; ++i)
    if (worst_[i] <= kCalm * canary_.best()) first.push_back(i);
  return first;
}

}  // namespace fovea::bench
