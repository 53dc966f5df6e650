// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/resize/taps.h"

#include <algorithm>
#include <cmath>

namespace fovea::kernels::cpu {
namespace {

// How far apart the places of two neighbours of the result are.
double step_of(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  if (a.align_corners) return out > 1 ? static_cast<double>(size - 1) / static_cast<double>(out - 1) : 0;
  return given > 0 ? 1 / given : static_cast<double>(size) / static_cast<double>(out);
}

// Keys' kernel; `a` is its slope at distance 1.
double cubic(double x, double a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

// PyTorch finds the nearest pixel in single precision, which decides where a product is all but an integer.
void add_nearest(int64_t size, int64_t out, double given, Taps& taps) {
  const float scale = given > 0 ? static_cast<float>(1 / given) : static_cast<float>(size) / static_cast<float>(out);
  for (int64_t o = 0; o < out; ++o) {
    taps.begin();
    taps.add(std::min(static_cast<int64_t>(std::floor(static_cast<float>(o) * scale)), size - 1), 1);
  }
}

void add_linear(bool align_corners, double step, int64_t size, int64_t out, Taps& taps) {
  for (int64_t o = 0; o < out; ++o) {
    const double place = static_cast<double>(o),
                 at = align_corners ? place * step : std::max(0.0, (place + 0.5) * step - 0.5);
    const int64_t low = std::min(static_cast<int64_t>(at), size - 1);
    const double share = std::min(at - static_cast<double>(low), 1.0);
    taps.begin();
    taps.add(low, 1 - share);
    taps.add(std::min(low + 1, size - 1), share);
  }
}

void add_cubic(bool align_corners, double step, int64_t size, int64_t out, Taps& taps) {
  for (int64_t o = 0; o < out; ++o) {
    const double place = static_cast<double>(o), at = align_corners ? place * step : (place + 0.5) * step - 0.5,
                 low = std::floor(at);
    taps.begin();
    for (int k = -1; k <= 2; ++k) {
      const double pixel = low + k;
      taps.add(std::clamp<int64_t>(static_cast<int64_t>(pixel), 0, size - 1), cubic(at - pixel, -0.75));
    }
  }
}

// Shrinking widens the kernel, so that every pixel counts; weights add up to 1 at the borders, too. Pillow's filters.
void add_antialiased(bool is_cubic, double step, int64_t size, int64_t out, Taps& taps) {
  const double stretch = std::max(step, 1.0), support = (is_cubic ? 2 : 1) * stretch;
  std::vector<double> weights;
  for (int64_t o = 0; o < out; ++o) {
    const double center = step * (static_cast<double>(o) + 0.5);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0),
                  end = std::min(static_cast<int64_t>(center + support + 0.5), size);
    double sum = 0;
    weights.clear();
    for (int64_t i = first; i < end; ++i) {
      const double x = (static_cast<double>(i) - center + 0.5) / stretch;
      weights.push_back(is_cubic ? cubic(x, -0.5) : std::max(0.0, 1 - std::abs(x)));
      sum += weights.back();
    }
    taps.begin();
    for (int64_t i = first; i < end; ++i) taps.add(i, weights[static_cast<size_t>(i - first)] / (sum != 0 ? sum : 1));
  }
}

}  // namespace

Taps turned(const Taps& t, int64_t size) {
  std::vector<std::vector<Tap>> lists(static_cast<size_t>(size));
  for (int64_t o = 0; o < t.places(); ++o)
    for (const Tap& tap : t.of(o)) lists[static_cast<size_t>(tap.at)].push_back({o, tap.weight});
  Taps all;
  for (const std::vector<Tap>& list : lists) {
    all.begin();
    for (const Tap& tap : list) all.add(tap.at, static_cast<double>(tap.weight));
  }
  return all;
}

Taps interpolation_taps(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  Taps taps;
  const double step = step_of(a, size, out, given);
  if (a.mode == Interpolation::nearest) add_nearest(size, out, given, taps);
  else if (a.antialias) add_antialiased(a.mode == Interpolation::cubic, step, size, out, taps);
  else if (a.mode == Interpolation::linear) add_linear(a.align_corners, step, size, out, taps);
  else add_cubic(a.align_corners, step, size, out, taps);
  return taps;
}

}  // namespace fovea::kernels::cpu
