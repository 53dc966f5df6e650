// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/columns.cpp — unfold: what each window of an image sees, as columns; and fold, its adjoint. A
// thread a plane.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// The places of a line whose tap lies in the image: [first, end), of which the first reads pixel `at`.
struct Stretch {
  int64_t first, end, at;
};
Stretch inside(int64_t size, int64_t places, int64_t stride, int64_t shift) {
  const int64_t first = shift < 0 ? (stride - 1 - shift) / stride : 0,
                end = size > shift ? std::min(places, (size - shift - 1) / stride + 1) : 0;
  return {first, std::max(first, end), first * stride + shift};
}

// One tap of a plane: where each line of its places begins among the columns, and what it meets of the image.
struct Columns {
  int64_t height, width, lines, places;            // of the image; of the windows
  int64_t kernel[2], stride[2], dilation[2], pad[2];

  Columns(const UnfoldAttrs& a, int64_t h, int64_t w) : height(h), width(w) {
    for (int i = 0; i < 2; ++i) {
      kernel[i] = a.kernel[i];
      stride[i] = a.stride[i];
      dilation[i] = a.dilation[i];
      pad[i] = a.pad[i];
    }
    const auto count = [&](int64_t size, int i) {
      return (size + 2 * pad[i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i] + 1;
    };
    lines = count(height, 0);
    places = count(width, 1);
  }
  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t plane() const { return taps() * lines * places; }      // of columns

  /// f(column, pixel, n): n places from `column` on read pixels from `pixel` on, a stride apart; pixel < 0: none.
  template <class F>
  void each_line(int64_t tap, const F& f) const {
    const int64_t down = tap / kernel[1], across = tap % kernel[1];
    const Stretch s = inside(width, places, stride[1], across * dilation[1] - pad[1]);
    for (int64_t line = 0; line < lines; ++line) {
      const int64_t row = line * stride[0] + down * dilation[0] - pad[0], column = (tap * lines + line) * places;
      if (row < 0 || row >= height || s.first == s.end) {
        f(column, -1, places);
        continue;
      }
      f(column, -1, s.first);
      f(column + s.first, row * width + s.at, s.end - s.first);
      f(column + s.end, -1, places - s.end);
    }
  }
};

class UnfoldPlan final : public Plan {
 public:
  explicit UnfoldPlan(const Site& s)
      : columns_(s.attrs<UnfoldAttrs>(), s.operand(0).shape[2], s.operand(0).shape[3]),
        planes_(s.operand(0).shape[0] * s.operand(0).shape[1]) {
    name = "cpu:columns";
  }
  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    const int64_t taps = columns_.taps(), pixels = columns_.height * columns_.width, step = columns_.stride[1];
    const int64_t work = columns_.lines * columns_.places + 1;
    parallel_for(planes_ * taps, std::max<int64_t>(1, 16384 / work), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const float* image = x + i / taps * pixels;
        float* plane = y + i / taps * columns_.plane();
        columns_.each_line(i % taps, [&](int64_t column, int64_t pixel, int64_t n) {
          if (pixel < 0) std::fill_n(plane + column, n, 0.f);
          else if (step == 1) std::copy_n(image + pixel, n, plane + column);
          else
            for (int64_t k = 0; k < n; ++k) plane[column + k] = image[pixel + k * step];
        });
      }
    });
  }

 private:
  Columns columns_;
  int64_t planes_;
};
PlanPtr plan_unfold(const Site& s) {
  if (!all_f32(s) || !lies_as(s.operand(0), Memory::contiguous) || s.result().numel() == 0) return nullptr;
  return std::make_shared<UnfoldPlan>(s);
}

// Taps are added one after the other, in their order.
class FoldPlan final : public Plan {
 public:
  explicit FoldPlan(const Site& s)
      : set_(&loops()),
        columns_(s.attrs<UnfoldAttrs>(), s.result().shape[2], s.result().shape[3]),
        planes_(s.result().shape[0] * s.result().shape[1]) {
    name = str_cat("cpu:columns ", set_->name);
  }
  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    const int64_t pixels = columns_.height * columns_.width;
    parallel_for(planes_, std::max<int64_t>(1, 16384 / (columns_.plane() + 1)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        std::fill_n(y + i * pixels, pixels, 0.f);
        for (int64_t tap = 0; tap < columns_.taps(); ++tap) add(tap, x + i * columns_.plane(), y + i * pixels);
      }
    });
  }

 private:
  void add(int64_t tap, const float* plane, float* image) const {
    const int64_t step = columns_.stride[1];
    columns_.each_line(tap, [&](int64_t column, int64_t pixel, int64_t n) {
      if (pixel < 0) return;
      if (step == 1) return set_->binary(Binary::add, image + pixel, 1, plane + column, 1, image + pixel, n);
      for (int64_t k = 0; k < n; ++k) image[pixel + k * step] += plane[column + k];
    });
  }

  const Loops* set_;
  Columns columns_;
  int64_t planes_;
};
PlanPtr plan_fold(const Site& s) {
  if (!all_f32(s) || !lies_as(s.operand(0), Memory::contiguous) || s.result().numel() == 0) return nullptr;
  return std::make_shared<FoldPlan>(s);
}

constexpr Kernel table[] = {{&ops::unfold, plan_unfold}, {&ops::fold, plan_fold}};

}  // namespace

std::span<const Kernel> column_kernels() { return table; }

}  // namespace fovea::kernels::cpu
