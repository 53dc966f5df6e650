// SPDX-License-Identifier: Apache-2.0
// engine/graph/histogram.h — how often which values occur, and the range that quantises them with the least error.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace fovea {

/// Bins of equal width around zero that grow by doubling when a value lies outside. NaN and infinities are left out.
class Histogram {
 public:
  static constexpr int kBins = 4096;
  void add(std::span<const float> values);
  bool empty() const { return count_ == 0; }
  float least() const { return least_; }
  float largest() const { return largest_; }
  /// [lo, hi] with lo <= 0 <= hi for which the mean squared error of 255 steps, with what lies outside clamped, is
  /// least.
  std::pair<float, float> best_range() const;

 private:
  void grow(float value);

  std::array<int64_t, kBins> bins_{};
  double width_ = 0;                               // bin i covers [(i - kBins / 2) width_, + width_)
  int64_t count_ = 0;
  float least_ = 0, largest_ = 0;
};

}  // namespace fovea
