// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/resize/resize.cpp — nearest, bilinear and bicubic interpolation of images in both memory orders.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

struct Tap {
  int64_t low, high;
  float share;  // of high
};

// How far apart the places of two neighbours of the result are.
double step_of(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  if (a.align_corners) return out > 1 ? static_cast<double>(size - 1) / static_cast<double>(out - 1) : 0;
  return given > 0 ? 1 / given : static_cast<double>(size) / static_cast<double>(out);
}

// Coordinates as PyTorch finds them: nearest in single precision, which decides where a product is all but an integer.
std::vector<Tap> taps(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  std::vector<Tap> all;
  for (int64_t o = 0; o < out; ++o) {
    if (a.mode == Interpolation::nearest) {
      const float scale =
          given > 0 ? static_cast<float>(1 / given) : static_cast<float>(size) / static_cast<float>(out);
      const int64_t at = std::min(static_cast<int64_t>(std::floor(static_cast<float>(o) * scale)), size - 1);
      all.push_back({at, at, 0});
      continue;
    }
    const double scale = step_of(a, size, out, given);
    const double place = static_cast<double>(o),
                 at = a.align_corners ? place * scale : std::max(0.0, (place + 0.5) * scale - 0.5);
    const int64_t low = std::min(static_cast<int64_t>(at), size - 1);
    all.push_back({low, std::min(low + 1, size - 1), static_cast<float>(std::min(at - static_cast<double>(low), 1.0))});
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
    rows_ = taps(a, x[2], y[2], a.scale[0]);
    columns_ = taps(a, x[3], y[3], a.scale[1]);
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
  void one_line(const float* image, const Tap& row, float* y) const {
    const float *low = image + row.low * width_ * channels_, *high = image + row.high * width_ * channels_;
    for (const Tap& c : columns_) {
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
  std::vector<Tap> rows_, columns_;
};

// Four pixels of a row or column, and how much of each.
struct CubicTap {
  std::array<int64_t, 4> at;
  std::array<float, 4> share;
};

// Keys' kernel with PyTorch's slope of -0.75.
double cubic(double x) {
  constexpr double a = -0.75;
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

std::vector<CubicTap> cubic_taps(const InterpolateAttrs& a, int64_t size, int64_t out, double given) {
  const double scale = step_of(a, size, out, given);
  std::vector<CubicTap> all;
  for (int64_t o = 0; o < out; ++o) {
    const double place = static_cast<double>(o), at = a.align_corners ? place * scale : (place + 0.5) * scale - 0.5,
                 low = std::floor(at);
    CubicTap tap;
    for (int k = 0; k < 4; ++k) {
      const double pixel = low + k - 1;
      tap.at[static_cast<size_t>(k)] = std::clamp<int64_t>(static_cast<int64_t>(pixel), 0, size - 1);
      tap.share[static_cast<size_t>(k)] = static_cast<float>(cubic(at - pixel));
    }
    all.push_back(tap);
  }
  return all;
}

class CubicPlan final : public Plan {
 public:
  explicit CubicPlan(const Site& s) {
    const auto& a = s.attrs<InterpolateAttrs>();
    const Meta &x = s.operand(0), &y = s.result();
    const bool last = lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous);
    images_ = last ? x.shape[0] : x.shape[0] * x.shape[1];
    channels_ = last ? x.shape[1] : 1;
    height_ = x.shape[2];
    width_ = x.shape[3];
    rows_ = cubic_taps(a, height_, y.shape[2], a.scale[0]);
    columns_ = cubic_taps(a, width_, y.shape[3], a.scale[1]);
    name = "cpu:cubic";
  }
  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    const auto out_rows = static_cast<int64_t>(rows_.size()), line = static_cast<int64_t>(columns_.size()) * channels_;
    parallel_for(images_ * out_rows, std::max<int64_t>(1, 4096 / (line + 1)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        one_line(x + i / out_rows * height_ * width_ * channels_, rows_[static_cast<size_t>(i % out_rows)],
                 y + i * line);
    });
  }

 private:
  void one_line(const float* image, const CubicTap& row, float* y) const {
    for (const CubicTap& column : columns_)
      for (int64_t c = 0; c < channels_; ++c) {
        float sum = 0;
        for (size_t i = 0; i < 4; ++i) {
          const float* x = image + row.at[i] * width_ * channels_ + c;
          float part = 0;
          for (size_t j = 0; j < 4; ++j) part += x[column.at[j] * channels_] * column.share[j];
          sum += part * row.share[i];
        }
        *y++ = sum;
      }
  }
  int64_t images_, channels_, height_, width_;
  std::vector<CubicTap> rows_, columns_;
};

PlanPtr plan_interpolate(const Site& s) {
  const auto& a = s.attrs<InterpolateAttrs>();
  const Meta &x = s.operand(0), &y = s.result();
  if (!all_f32(s) || x.rank() != 4 || a.antialias || y.numel() == 0) return nullptr;
  const bool contiguous = lies_as(x, Memory::contiguous) && lies_as(y, Memory::contiguous);
  const bool last =
      lies_as(x, Memory::channels_last) && lies_as(y, Memory::channels_last) && !lies_as(x, Memory::contiguous);
  if (!contiguous && !last) return nullptr;
  if (a.mode == Interpolation::cubic) return std::make_shared<CubicPlan>(s);
  return std::make_shared<InterpolatePlan>(s);
}

constexpr Kernel table[] = {{&ops::interpolate, plan_interpolate}};

}  // namespace

std::span<const Kernel> resize_kernels() { return table; }

}  // namespace fovea::kernels::cpu
