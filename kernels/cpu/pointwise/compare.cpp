// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/compare.cpp — is one element equal to the other, less, greater? Of f32 and i64, with
// broadcasts.
#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

template <class T, class F>
void each(const T* a, int64_t a_step, const T* b, int64_t b_step, bool* y, int64_t n, F f) {
  if (a_step == 1 && b_step == 1)
    for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
  else if (a_step == 1)
    for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], *b);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = f(*a, b[i * b_step]);
}
template <class T>
void compare(Binary fn, const T* a, int64_t a_step, const T* b, int64_t b_step, bool* y, int64_t n) {
  const auto with = [=](auto f) { each(a, a_step, b, b_step, y, n, f); };
  switch (fn) {
    case Binary::eq: return with([](T u, T v) { return u == v; });
    case Binary::ne: return with([](T u, T v) { return u != v; });
    case Binary::lt: return with([](T u, T v) { return u < v; });
    case Binary::le: return with([](T u, T v) { return u <= v; });
    case Binary::gt: return with([](T u, T v) { return u > v; });
    default: return with([](T u, T v) { return u >= v; });
  }
}

template <class T>
class ComparePlan final : public Plan {
 public:
  explicit ComparePlan(const Site& s)
      : fn_(s.attrs<BinaryAttrs>().fn), walk_({&s.result(), &s.operand(0), &s.operand(1)}) {
    name = "cpu:compare";
  }
  bool possible() const { return walk_.runs(); }
  void run(const Args& a, Stream&) const override {
    const auto *left = reinterpret_cast<const T*>(a.in[0]), *right = reinterpret_cast<const T*>(a.in[1]);
    bool* y = reinterpret_cast<bool*>(a.out[0]);
    walk_.each([&](const auto& at, int64_t n) {
      compare(fn_, left + at[1], walk_.step(1), right + at[2], walk_.step(2), y + at[0], n);
    });
  }

 private:
  Binary fn_;
  Walk walk_;
};
template <class T>
PlanPtr plan_for(const Site& s) {
  auto plan = std::make_shared<ComparePlan<T>>(s);
  return plan->possible() ? plan : nullptr;
}
PlanPtr plan_compare(const Site& s) {
  const Binary fn = s.attrs<BinaryAttrs>().fn;
  const DType t = s.operand(0).dtype;
  if (fn < Binary::eq || fn > Binary::ge || s.operand(1).dtype != t || s.result().numel() == 0) return nullptr;
  if (t == DType::f32) return plan_for<float>(s);
  if (t == DType::i64) return plan_for<int64_t>(s);
  return nullptr;
}

constexpr Kernel table[] = {{&ops::binary, plan_compare}};

}  // namespace

std::span<const Kernel> compare_kernels() { return table; }

}  // namespace fovea::kernels::cpu
