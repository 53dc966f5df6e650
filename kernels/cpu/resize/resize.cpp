// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/resize/resize.cpp — nearest, linear and cubic interpolation of images in both memory orders, and its
// adjoint.
#include <algorithm>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/resize/separable.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// Two pixels of a row or column, which may be one.
struct Pair {
  int64_t low, high;
  float share;                                     // of high
};
std::vector<Pair> pairs(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  const Taps taps = interpolation_taps(a, size, out, given);
  std::vector<Pair> all;
  for (int64_t o = 0; o < out; ++o) {
    const std::span<const Tap> t = taps.of(o);
    all.push_back({t.front().at, t.back().at, t.size() > 1 ? t.back().weight : 0});
  }
  return all;
}

class InterpolatePlan final : public Plan {
 public:
  explicit InterpolatePlan(const Site& s) : set_(&loops()) {
    const auto& a = s.attrs<InterpolateAttrs>();
    const Shape &x = s.operand(0).shape, &y = s.result().shape;
    nearest_ = a.mode == Interpolation::nearest;
    last_ = lies_as(s.operand(0), Memory::channels_last) && !lies_as(s.operand(0), Memory::contiguous);
    images_ = last_ ? x[0] : x[0] * x[1];
    channels_ = last_ ? x[1] : 1;
    height_ = x[2];
    width_ = x[3];
    rows_ = pairs(a, x[2], y[2], a.scale[0]);
    columns_ = pairs(a, x[3], y[3], a.scale[1]);
    name = str_cat("cpu:", set_->name);
  }

  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    const auto out_rows = static_cast<int64_t>(rows_.size()), line = static_cast<int64_t>(columns_.size()) * channels_;
    parallel_for(images_ * out_rows, std::max<int64_t>(1, 8192 / (line + 1)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        one_line(x + i / out_rows * height_ * width_ * channels_, rows_[static_cast<size_t>(i % out_rows)],
                 y + i * line);
    });
  }

 private:
  void one_line(const float* image, const Pair& row, float* y) const {
    const float *low = image + row.low * width_ * channels_, *high = image + row.high * width_ * channels_;
    for (const Pair& c : columns_) {
      const float* x[] = {low + c.low * channels_, low + c.high * channels_, high + c.low * channels_,
                          high + c.high * channels_};
      const float weights[] = {(1 - row.share) * (1 - c.share), (1 - row.share) * c.share, row.share * (1 - c.share),
                               row.share * c.share};
      if (nearest_) std::copy_n(x[0], channels_, y);
      else if (last_) set_->blend(x, weights, y, channels_);
      else *y = (*x[0] * weights[0] + *x[1] * weights[1]) + (*x[2] * weights[2] + *x[3] * weights[3]);
      y += channels_;
    }
  }

  const Loops* set_;
  bool nearest_, last_;
  int64_t images_, channels_, height_, width_;
  std::vector<Pair> rows_, columns_;
};

// Lists for each place along dimension i of an image; a line has one row.
Taps along(const InterpolateAttrs& a, const Shape& x, const Shape& y, int i) {
  const int dim = i - (4 - x.size());
  if (dim < 2) return interpolation_taps({}, 1, 1, 0);
  return interpolation_taps(a, x[dim], y[dim], a.scale[static_cast<size_t>(dim - 2)]);
}

PlanPtr plan_interpolate(const Site& s) {
  const auto& a = s.attrs<InterpolateAttrs>();
  const Meta &x = s.operand(0), &y = s.result();
  if (x.rank() < 3 || x.rank() > 4 || y.numel() == 0) return nullptr;
  if (x.rank() == 3 || a.antialias || a.mode == Interpolation::cubic)
    return separable_plan(s, along(a, x.shape, y.shape, 2), along(a, x.shape, y.shape, 3));
  if (!all_f32(s)) return nullptr;
  const bool contiguous = lies_as(x, Memory::contiguous) && lies_as(y, Memory::contiguous);
  const bool last =
      lies_as(x, Memory::channels_last) && lies_as(y, Memory::channels_last) && !lies_as(x, Memory::contiguous);
  return contiguous || last ? std::make_shared<InterpolatePlan>(s) : nullptr;
}

PlanPtr plan_interpolate_dx(const Site& s) {
  const auto& a = s.attrs<InterpolateAttrs>();
  const Shape &gy = s.operand(0).shape, &gx = s.result().shape;
  if (gy.size() < 3 || gy.size() > 4 || s.result().numel() == 0) return nullptr;
  const auto adjoint = [&](int i) {
    const int dim = i - (4 - gx.size());
    return turned(along(a, gx, gy, i), dim < 2 ? 1 : gx[dim]);
  };
  return separable_plan(s, adjoint(2), adjoint(3));
}

constexpr Kernel table[] = {{&ops::interpolate, plan_interpolate}, {&ops::interpolate_dx, plan_interpolate_dx}};

}  // namespace

std::span<const Kernel> resize_kernels() { return table; }

}  // namespace fovea::kernels::cpu
