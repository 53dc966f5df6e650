// SPDX-License-Identifier: Apache-2.0
// kernels/ref/resize.cpp — interpolate and its adjoint: tables of weighted taps, applied one dimension at a time.
#include <algorithm>
#include <cmath>

#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

struct Tap {
  int64_t at;                                      // in x
  double weight;
};
using Taps = std::vector<std::vector<Tap>>;        // for each place of y

// PyTorch finds the nearest pixel in the precision of the operand, which decides where a product is all but an integer.
template <class Real>
Taps nearest_taps(int64_t size, int64_t out, double given) {
  const Real scale = given > 0 ? static_cast<Real>(1 / given) : static_cast<Real>(size) / static_cast<Real>(out);
  Taps taps;
  for (int64_t o = 0; o < out; ++o)
    taps.push_back({{std::min(static_cast<int64_t>(std::floor(static_cast<Real>(o) * scale)), size - 1), 1.0}});
  return taps;
}

double pixels_per_place(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  if (a.align_corners) return out > 1 ? static_cast<double>(size - 1) / static_cast<double>(out - 1) : 0;
  return given > 0 ? 1 / given : static_cast<double>(size) / static_cast<double>(out);
}

// Keys' cubic convolution kernel; `a` is its slope at distance 1.
double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

Taps linear_taps(const InterpolateAttrs& a, int64_t size, int64_t out, double scale) {
  Taps taps;
  for (int64_t o = 0; o < out; ++o) {
    const double place = static_cast<double>(o);
    const double at = a.align_corners ? place * scale : std::max(0.0, (place + 0.5) * scale - 0.5);
    const int64_t low = std::min(static_cast<int64_t>(at), size - 1), high = std::min(low + 1, size - 1);
    const double fraction = std::min(at - static_cast<double>(low), 1.0);
    taps.push_back({{low, 1 - fraction}, {high, fraction}});
  }
  return taps;
}

Taps cubic_taps(const InterpolateAttrs& a, int64_t size, int64_t out, double scale) {
  Taps taps;
  for (int64_t o = 0; o < out; ++o) {
    const double place = static_cast<double>(o), at = a.align_corners ? place * scale : (place + 0.5) * scale - 0.5;
    const double low = std::floor(at);
    taps.emplace_back();
    for (int64_t k = -1; k <= 2; ++k) {
      const double pixel = low + static_cast<double>(k);
      taps.back().push_back({std::clamp<int64_t>(static_cast<int64_t>(pixel), 0, size - 1), cubic(at - pixel, -0.75)});
    }
  }
  return taps;
}

// Shrinking widens the kernel, so that every pixel counts; weights add up to 1 also at the borders. Pillow's filters.
Taps antialias_taps(bool is_cubic, int64_t size, int64_t out, double scale) {
  const double stretch = std::max(scale, 1.0), support = (is_cubic ? 2 : 1) * stretch;
  Taps taps;
  for (int64_t o = 0; o < out; ++o) {
    const double center = scale * (static_cast<double>(o) + 0.5);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), size);
    double sum = 0;
    taps.emplace_back();
    for (int64_t i = first; i < end; ++i) {
      const double x = (static_cast<double>(i) - center + 0.5) / stretch;
      taps.back().push_back({i, is_cubic ? cubic(x, -0.5) : std::max(0.0, 1 - std::abs(x))});
      sum += taps.back().back().weight;
    }
    for (Tap& t : taps.back()) t.weight = sum != 0 ? t.weight / sum : t.weight;
  }
  return taps;
}

Taps taps_for(const InterpolateAttrs& a, DType t, int64_t size, int64_t out, double given) {
  if (a.mode == Interpolation::nearest)
    return t == DType::f64 ? nearest_taps<double>(size, out, given) : nearest_taps<float>(size, out, given);
  const double scale = pixels_per_place(a, size, out, given);
  if (a.antialias) return antialias_taps(a.mode == Interpolation::cubic, size, out, scale);
  return a.mode == Interpolation::linear ? linear_taps(a, size, out, scale) : cubic_taps(a, size, out, scale);
}

// x [outer, size, inner] -> y [outer, places, inner]; the adjoint goes the other way.
std::vector<double> spread(const std::vector<double>& from, const Taps& taps, int64_t size, int64_t inner,
                           bool adjoint) {
  const auto places = static_cast<int64_t>(taps.size());
  const int64_t outer = static_cast<int64_t>(from.size()) / std::max<int64_t>(1, (adjoint ? places : size) * inner);
  std::vector<double> to(static_cast<size_t>(outer * (adjoint ? size : places) * inner));
  for (int64_t n = 0; n < outer; ++n)
    for (int64_t o = 0; o < places; ++o)
      for (const Tap& tap : taps[static_cast<size_t>(o)]) {
        const int64_t at_x = (n * size + tap.at) * inner, at_y = (n * places + o) * inner;
        const double* source = from.data() + (adjoint ? at_y : at_x);
        double* target = to.data() + (adjoint ? at_x : at_y);
        for (int64_t i = 0; i < inner; ++i) target[i] += tap.weight * source[i];
      }
  return to;
}

void resample(const Run& r, const Shape& x, const Shape& y, bool adjoint) {
  const auto& attrs = r.attrs<InterpolateAttrs>();
  std::vector<double> values = load<double>(r.in(0));
  Shape now = r.in(0).shape();
  for (int d = x.size() - 1; d >= 2; --d) {
    now[d] = r.out().dim(d);
    int64_t inner = 1;
    for (int i = d + 1; i < now.size(); ++i) inner *= now[i];
    const Taps taps = taps_for(attrs, r.out().meta.dtype, x[d], y[d], attrs.scale[static_cast<size_t>(d - 2)]);
    values = spread(values, taps, x[d], inner, adjoint);
  }
  store(values.data(), r.out());
}
void interpolate(const Run& r) { resample(r, r.in(0).shape(), r.out().shape(), false); }
void interpolate_dx(const Run& r) { resample(r, r.out().shape(), r.in(0).shape(), true); }

}  // namespace

std::span<const Kernel> resize_kernels() {
  static constexpr Kernel table[] = {
      {&ops::interpolate, no_half<interpolate>},
      {&ops::interpolate_dx, no_half<interpolate_dx>},
  };
  return table;
}

}  // namespace fovea::ref
