// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/pointwise.cpp — unary, unary_dx, binary and where in f32, for every broadcast whose innermost
// run is adjacent or constant, and gates in bf16, too.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

struct PointwisePlan : Plan {
  explicit PointwisePlan(std::initializer_list<const Meta*> operands) : walk(operands), set(&loops()) {
    name = str_cat("cpu:", set->name);
  }
  Walk walk;
  const Loops* set;
};

struct UnaryPlan final : PointwisePlan {
  UnaryPlan(const Site& s, const UnaryAttrs& a) : PointwisePlan({&s.result(), &s.operand(0)}), attrs(a) {}
  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    walk.each([&](const auto& at, int64_t n) { set->unary(attrs.fn, attrs.a, attrs.b, x + at[1], y + at[0], n); },
              4096);
  }
  UnaryAttrs attrs;
};
PlanPtr plan_unary(const Site& s) {
  const auto& a = s.attrs<UnaryAttrs>();
  if (!all_f32(s) || !loops().has_unary(a.fn)) return nullptr;
  auto plan = std::make_shared<UnaryPlan>(s, a);
  return plan->walk.step(0) == 1 && plan->walk.step(1) == 1 ? plan : nullptr;
}

struct UnaryDxPlan final : PointwisePlan {
  UnaryDxPlan(const Site& s, const UnaryAttrs& a)
      : PointwisePlan({&s.result(), &s.operand(0), &s.operand(1)}),
        attrs(a) {}
  void run(const Args& a, Stream&) const override {
    const float *gy = floats(a.in[0]), *x = floats(a.in[1]);
    float* gx = floats(a.out[0]);
    walk.each(
        [&](const auto& at, int64_t n) { set->unary_dx(attrs.fn, attrs.a, gy + at[1], x + at[2], gx + at[0], n); },
        4096);
  }
  UnaryAttrs attrs;
};
PlanPtr plan_unary_dx(const Site& s) {
  const auto& a = s.attrs<UnaryAttrs>();
  if (!all_f32(s) || !loops().has_unary_dx(a.fn)) return nullptr;
  auto plan = std::make_shared<UnaryDxPlan>(s, a);
  return plan->walk.runs() && plan->walk.step(1) == 1 && plan->walk.step(2) == 1 ? plan : nullptr;
}

struct BinaryPlan final : PointwisePlan {
  BinaryPlan(const Site& s, Binary f) : PointwisePlan({&s.result(), &s.operand(0), &s.operand(1)}), fn(f) {}
  void run(const Args& a, Stream&) const override {
    const float *left = floats(a.in[0]), *right = floats(a.in[1]);
    float* y = floats(a.out[0]);
    const int left_step = static_cast<int>(walk.step(1)), right_step = static_cast<int>(walk.step(2));
    walk.each([&](const auto& at, int64_t n) {
      set->binary(fn, left + at[1], left_step, right + at[2], right_step, y + at[0], n);
    });
  }
  Binary fn;
};
// Rows of an image times one row for all of them, such as a gate for each channel.
template <class T>
struct GatePlan final : PointwisePlan {
  static constexpr bool kNarrow = !std::is_same_v<T, float>;   // the gates are widened first
  GatePlan(const Site& s, bool swapped)
      : PointwisePlan({&s.result(), &s.operand(swapped), &s.operand(!swapped)}), image(swapped),
        gates(s.operand(!swapped).numel()) {
    last = walk.outer() - 1;
    if (!kNarrow) return;
    scratch = static_cast<size_t>(gates) * sizeof(float);
    name += " bf16";
  }
  bool possible() const {
    return last >= 0 && last <= 1 && walk.runs() && walk.step(1) == 1 && walk.step(2) == 1 &&
           walk.outer_step(2, last) == 0 && (!kNarrow || last == 0 || walk.outer_step(2, 0) <= walk.inner());
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[image]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    const float* gate = floats(kNarrow ? a.scratch : a.in[1 - image]);
    if (kNarrow) set->from_bf16(a.in[1 - image], a.scratch, gates);
    const int64_t rows = walk.outer_size(last), block = 16384 / walk.inner() + 1;
    const auto offset = [&](int operand, int64_t i) { return last ? i * walk.outer_step(operand, 0) : 0; };
    parallel_for((last ? walk.outer_size(0) : 1) * rows, block, [&](int64_t first, int64_t end) {
      for (int64_t n; first < end; first += n) {
        const int64_t i = first / rows, r = first % rows;
        n = std::min({block, end - first, rows - r});
        const ChannelRows<T> t{.x = x + offset(1, i) + r * walk.outer_step(1, last),
                               .gain = gate + offset(2, i),
                               .shift = nullptr,
                               .y = y + offset(0, i) + r * walk.outer_step(0, last),
                               .x_step = walk.outer_step(1, last),
                               .y_step = walk.outer_step(0, last),
                               .rows = n,
                               .channels = walk.inner()};
        if constexpr (kNarrow) set->channel_rows_bf16(t);
        else set->channel_rows(t);
      }
    });
  }
  int image, last;
  int64_t gates;
};
template <class T>
PlanPtr plan_gate(const Site& s) {
  for (const bool swapped : {false, true})
    if (s.operand(swapped).shape == s.result().shape)
      if (auto plan = std::make_shared<GatePlan<T>>(s, swapped); plan->possible()) return plan;
  return nullptr;
}
PlanPtr plan_gate(const Site& s) {
  if (s.attrs<BinaryAttrs>().fn != Binary::mul || s.result().numel() == 0) return nullptr;
  return all_f32(s) ? plan_gate<float>(s) : all_bf16(s) ? plan_gate<bfloat16>(s) : nullptr;
}

PlanPtr plan_binary(const Site& s) {
  const Binary fn = s.attrs<BinaryAttrs>().fn;
  if (!all_f32(s) || !loops().has_binary(fn)) return nullptr;
  auto plan = std::make_shared<BinaryPlan>(s, fn);
  return plan->walk.runs() ? plan : nullptr;
}

struct WherePlan final : PointwisePlan {
  explicit WherePlan(const Site& s) : PointwisePlan({&s.result(), &s.operand(0), &s.operand(1), &s.operand(2)}) {}
  void run(const Args& a, Stream&) const override {
    const auto* c = reinterpret_cast<const uint8_t*>(a.in[0]);
    const float *left = floats(a.in[1]), *right = floats(a.in[2]);
    float* y = floats(a.out[0]);
    const int steps[] = {static_cast<int>(walk.step(1)), static_cast<int>(walk.step(2)),
                         static_cast<int>(walk.step(3))};
    walk.each([&](const auto& at, int64_t n) {
      set->where(c + at[1], steps[0], left + at[2], steps[1], right + at[3], steps[2], y + at[0], n);
    });
  }
};
PlanPtr plan_where(const Site& s) {
  if (s.operand(0).dtype != DType::boolean || s.operand(1).dtype != DType::f32 || s.result().dtype != DType::f32)
    return nullptr;
  auto plan = std::make_shared<WherePlan>(s);
  return plan->walk.runs() ? plan : nullptr;
}

constexpr Kernel table[] = {
    {&ops::unary, plan_unary}, {&ops::unary_dx, plan_unary_dx}, {&ops::binary, plan_gate}, {&ops::binary, plan_binary},
    {&ops::where, plan_where}};

}  // namespace

std::span<const Kernel> pointwise_kernels() { return table; }

}  // namespace fovea::kernels::cpu
