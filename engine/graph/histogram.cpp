// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace fovea {
namespace {

constexpr int kHalf = Histogram::kBins / 2;

// Sums over bins [0, i): how many, of their values, of their squares.
struct Sums {
  std::vector<double> count, first, second;
  explicit Sums(std::span<const int64_t> bins, double width) : count(1, 0), first(1, 0), second(1, 0) {
    for (size_t i = 0; i < bins.size(); ++i) {
      const auto n = static_cast<double>(bins[i]);
      const double v = (static_cast<double>(i) - kHalf + 0.5) * width;
      count.push_back(count.back() + n);
      first.push_back(first.back() + n * v);
      second.push_back(second.back() + n * v * v);
    }
  }
  // sum (v - edge)^2 over bins [from, to)
  double about(size_t from, size_t to, double edge) const {
    return second[to] - second[from] - 2 * edge * (first[to] - first[from]) + edge * edge * (count[to] - count[from]);
  }
};

}  // namespace

void Histogram::grow(float value) {
  if (width_ == 0) width_ = std::max(std::fabs(static_cast<double>(value)), 1e-6) * 1.5 / kHalf;
  while (std::fabs(static_cast<double>(value)) >= width_ * kHalf) {
    for (int i = 0; i < kHalf / 2; ++i) {          // towards the middle, so that nothing is read after it was written
      bins_[static_cast<size_t>(kHalf + i)] =
          bins_[static_cast<size_t>(kHalf + 2 * i)] + bins_[static_cast<size_t>(kHalf + 2 * i + 1)];
      bins_[static_cast<size_t>(kHalf - 1 - i)] =
          bins_[static_cast<size_t>(kHalf - 1 - 2 * i)] + bins_[static_cast<size_t>(kHalf - 2 - 2 * i)];
    }
    std::fill(bins_.begin(), bins_.begin() + kHalf / 2, 0);
    std::fill(bins_.end() - kHalf / 2, bins_.end(), 0);
    width_ *= 2;
  }
}

void Histogram::add(std::span<const float> values) {
  float least = least_, largest = largest_;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    least = std::min(least, v);
    largest = std::max(largest, v);
  }
  least_ = least;
  largest_ = largest;
  grow(std::max(-least, largest));
  const double each = 1 / width_;
  for (const float v : values) {
    if (!std::isfinite(v)) continue;
    const auto bin = static_cast<int>(std::floor(static_cast<double>(v) * each)) + kHalf;
    ++bins_[static_cast<size_t>(std::clamp(bin, 0, kBins - 1))];
    ++count_;
  }
}

std::pair<float, float> Histogram::best_range() const {
  if (empty()) return {0, 0};
  const Sums sums(bins_, width_);
  const auto bin = [&](double v) {
    return static_cast<size_t>(std::clamp(std::llround(v / width_) + kHalf, 0LL, static_cast<long long>(kBins)));
  };
  constexpr int kCandidates = 100;
  double least = 1e300;
  std::pair<float, float> best{least_, largest_};
  for (int i = kCandidates; i > kCandidates / 10; --i)
    for (int j = kCandidates; j > kCandidates / 10; --j) {
      const double lo = static_cast<double>(least_) * j / kCandidates,
                   hi = static_cast<double>(largest_) * i / kCandidates;
      if (least_ == 0 && j < kCandidates) break;
      if (largest_ == 0 && i < kCandidates) break;
      const size_t from = bin(lo), to = bin(hi);
      const double step = (hi - lo) / 255, inside = sums.count[to] - sums.count[from];
      const double error =
          step * step / 12 * inside + sums.about(0, from, lo) + sums.about(to, kBins, hi);
      if (error < least) {
        least = error;
        best = {static_cast<float>(lo), static_cast<float>(hi)};
      }
    }
  return best;
}

}  // namespace fovea
