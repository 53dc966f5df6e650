// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/half_linear.cpp — linear layers of few rows whose weights are f16: each output is a dot product
// of what lies side by side, so that nothing is packed and every weight is read once.
#include <algorithm>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kOutputs = HalfDots::kMany;

class HalfLinear final : public Plan {
 public:
  explicit HalfLinear(const Site& s)
      : loops_(&loops()), dots_(*processor().halves), finish_(s.attrs<LinearAttrs>().epilogue),
        rows_(s.operand(0).shape[0]), depth_(s.operand(1).shape[1]), outputs_(s.operand(1).shape[0]) {
    name = str_cat("cpu:half ", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *bias = floats(a.in[2]);
    const auto* const w = reinterpret_cast<const uint16_t*>(a.in[1]);
    float* const y = floats(a.out[0]);
    parallel_for(outputs_, work_ / (rows_ * depth_ + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = 0; r < rows_; ++r) {
        float* const to = y + r * outputs_;
        for (int64_t o = first; o < last; o += kOutputs) few(x + r * depth_, w + o * depth_, last - o, to + o);
        finish(bias, first, last, to);
      }
    });
  }

 private:
  void few(const float* x, const uint16_t* w, int64_t left, float* y) const {
    if (left >= kOutputs) return dots_.many(x, w, depth_, y);
    for (int64_t o = 0; o < left; ++o) dots_.one(x, w + o * depth_, depth_, y + o);
  }
  void finish(const float* bias, int64_t first, int64_t last, float* y) const {
    for (int64_t o = first; o < last; ++o) {
      const float v = bias ? y[o] + bias[o] : y[o];
      y[o] = v < finish_.lo ? finish_.lo : v > finish_.hi ? finish_.hi : v;
    }
    const Epilogue& e = finish_.act;
    if (finish_.map) loops_->unary(e.act, e.a, e.b, y + first, y + first, last - first);
  }

  const Loops* loops_;
  HalfDots dots_;
  Finish finish_;
  int64_t rows_, depth_, outputs_;
  int64_t work_ = processor().costs.work_per_thread;
};

PlanPtr plan_half_linear(const Site& s) {
  if (!loops().has_unary(s.attrs<LinearAttrs>().epilogue.act)) return nullptr;
  for (const Meta& m : s.in)
    if (m.present() && !lies_as(m, Memory::contiguous)) return nullptr;
  return std::make_shared<HalfLinear>(s);
}

constexpr Kernel table[] = {{&ops::half_linear, plan_half_linear}};

}  // namespace

std::span<const Kernel> half_linear_kernels() { return table; }

}  // namespace fovea::kernels::cpu
