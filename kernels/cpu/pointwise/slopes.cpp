// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/slopes.cpp — gradients of functions that the inner loops lack, a few operations an element.
#include <cmath>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

bool has_slope(Unary fn) {
  switch (fn) {
    case Unary::sqrt: case Unary::rsqrt: case Unary::reciprocal: case Unary::log: case Unary::clamp: return true;
    default: return false;
  }
}
void slopes(const UnaryAttrs& a, const float* gy, const float* x, float* gx, int64_t n) {
  const auto with = [=](auto slope) {
    for (int64_t i = 0; i < n; ++i) gx[i] = gy[i] * slope(x[i]);
  };
  switch (a.fn) {
    case Unary::sqrt: return with([](float v) { return 0.5f / std::sqrt(v); });
    case Unary::rsqrt: return with([](float v) { return -0.5f / (v * std::sqrt(v)); });
    case Unary::reciprocal: return with([](float v) { return -1.f / (v * v); });
    case Unary::log: return with([](float v) { return 1.f / v; });
    case Unary::clamp: return with([=](float v) { return v > a.a && v < a.b ? 1.f : 0.f; });
    default: return;                               // has_slope() said no
  }
}

class SlopePlan final : public Plan {
 public:
  explicit SlopePlan(const Site& s)
      : attrs_(s.attrs<UnaryAttrs>()), walk_({&s.result(), &s.operand(0), &s.operand(1)}) {
    name = "cpu:slope";
  }
  bool possible() const { return walk_.step(0) == 1 && walk_.step(1) == 1 && walk_.step(2) == 1; }
  void run(const Args& a, Stream&) const override {
    const float *gy = floats(a.in[0]), *x = floats(a.in[1]);
    float* gx = floats(a.out[0]);
    walk_.each([&](const auto& at, int64_t n) { slopes(attrs_, gy + at[1], x + at[2], gx + at[0], n); }, 4096);
  }

 private:
  UnaryAttrs attrs_;
  Walk walk_;
};
PlanPtr plan_slope(const Site& s) {
  if (!all_f32(s) || !has_slope(s.attrs<UnaryAttrs>().fn) || s.result().numel() == 0) return nullptr;
  auto plan = std::make_shared<SlopePlan>(s);
  return plan->possible() ? plan : nullptr;
}

constexpr Kernel table[] = {{&ops::unary_dx, plan_slope}};

}  // namespace

std::span<const Kernel> slope_kernels() { return table; }

}  // namespace fovea::kernels::cpu
