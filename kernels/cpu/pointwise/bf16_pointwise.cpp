// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/bf16_pointwise.cpp — unary and binary functions of bf16: widened in registers, computed in
// f32, rounded once.
#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

struct UnaryPlan final : Plan {
  explicit UnaryPlan(const Site& s) : attrs(s.attrs<UnaryAttrs>()), walk({&s.result(), &s.operand(0)}) {
    name = str_cat("cpu:", set->name, " bf16");
  }
  void run(const Args& a, Stream&) const override {
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    walk.each([&](const auto& at, int64_t n) { set->unary_bf16(attrs.fn, attrs.a, attrs.b, x + at[1], y + at[0], n); },
              4096);
  }
  UnaryAttrs attrs;
  Walk walk;
  const Loops* set = &loops();
};
PlanPtr plan_unary(const Site& s) {
  if (!all_bf16(s) || !loops().has_unary(s.attrs<UnaryAttrs>().fn)) return nullptr;
  auto plan = std::make_shared<UnaryPlan>(s);
  return plan->walk.step(0) == 1 && plan->walk.step(1) == 1 ? plan : nullptr;
}

struct BinaryPlan final : Plan {
  explicit BinaryPlan(const Site& s)
      : fn(s.attrs<BinaryAttrs>().fn), walk({&s.result(), &s.operand(0), &s.operand(1)}) {
    name = str_cat("cpu:", set->name, " bf16");
  }
  void run(const Args& a, Stream&) const override {
    const bfloat16 *left = halves(a.in[0]), *right = halves(a.in[1]);
    bfloat16* const y = halves(a.out[0]);
    const int left_step = static_cast<int>(walk.step(1)), right_step = static_cast<int>(walk.step(2));
    walk.each([&](const auto& at, int64_t n) {
      set->binary_bf16(fn, left + at[1], left_step, right + at[2], right_step, y + at[0], n);
    });
  }
  Binary fn;
  Walk walk;
  const Loops* set = &loops();
};
PlanPtr plan_binary(const Site& s) {
  if (!all_bf16(s) || !loops().has_binary(s.attrs<BinaryAttrs>().fn)) return nullptr;
  auto plan = std::make_shared<BinaryPlan>(s);
  return plan->walk.runs() ? plan : nullptr;
}

constexpr Kernel table[] = {{&ops::unary, plan_unary}, {&ops::binary, plan_binary}};

}  // namespace

std::span<const Kernel> bf16_pointwise_kernels() { return table; }

}  // namespace fovea::kernels::cpu
