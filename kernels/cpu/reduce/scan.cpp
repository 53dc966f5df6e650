// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/reduce/scan.cpp — along one axis, element after element: sums so far, and where the extreme stands.
#include <array>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/lines.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

constexpr auto kTogether = static_cast<size_t>(Lines::kTogether);

// T in memory; sums are held in Sum.
template <class T, class Sum>
class CumsumPlan final : public Plan {
 public:
  CumsumPlan(const Site& s, int dim)
      : lines_(s.operand(0), dim, without(s.result(), dim)), y_along_(s.result().strides[dim]) {
    name = "cpu:scan";
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    lines_.each([&](int64_t from, int64_t to, int64_t n) { some(x + from, y + to, n); });
  }

 private:
  void some(const T* x, T* y, int64_t n) const {
    const int64_t x_step = lines_.x_step(), y_step = lines_.y_step();
    std::array<Sum, kTogether> sums{};
    for (int64_t k = 0; k < lines_.size; ++k, x += lines_.along, y += y_along_)
      for (int64_t i = 0; i < n; ++i)
        y[i * y_step] = static_cast<T>(sums[static_cast<size_t>(i)] += static_cast<Sum>(x[i * x_step]));
  }

  Lines lines_;
  int64_t y_along_;
};
PlanPtr plan_cumsum(const Site& s) {
  const int dim = s.attrs<AxisAttrs>().dim;
  if (s.operand(0).dtype != s.result().dtype || s.result().numel() == 0) return nullptr;
  if (s.result().dtype == DType::f32) return std::make_shared<CumsumPlan<float, double>>(s, dim);
  // unsigned, so that what does not fit wraps around as on every backend
  if (s.result().dtype == DType::i64) return std::make_shared<CumsumPlan<int64_t, uint64_t>>(s, dim);
  return nullptr;
}

// The first of equal extremes; the first NaN where there is one.
template <class T, bool Largest>
class ExtremePlan final : public Plan {
 public:
  ExtremePlan(const Site& s, const ArgReduceAttrs& a)
      : lines_(s.operand(0), a.dim, a.keepdim ? without(s.result(), a.dim) : s.result()) {
    name = "cpu:scan";
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* y = reinterpret_cast<int64_t*>(a.out[0]);
    lines_.each([&](int64_t from, int64_t to, int64_t n) { some(x + from, y + to, n); });
  }

 private:
  void some(const T* x, int64_t* y, int64_t n) const {
    const int64_t x_step = lines_.x_step(), y_step = lines_.y_step();
    std::array<T, kTogether> best;
    std::array<int64_t, kTogether> where{};
    for (int64_t i = 0; i < n; ++i) best[static_cast<size_t>(i)] = x[i * x_step];
    for (int64_t k = 1; k < lines_.size; ++k) {
      x += lines_.along;
      for (int64_t i = 0; i < n; ++i) {
        T& most = best[static_cast<size_t>(i)];
        const T v = x[i * x_step];
        const bool better = (Largest ? v > most : v < most) || (v != v && most == most);
        most = better ? v : most;
        where[static_cast<size_t>(i)] = better ? k : where[static_cast<size_t>(i)];
      }
    }
    for (int64_t i = 0; i < n; ++i) y[i * y_step] = where[static_cast<size_t>(i)];
  }

  Lines lines_;
};
PlanPtr plan_argreduce(const Site& s) {
  const auto& a = s.attrs<ArgReduceAttrs>();
  const DType t = s.operand(0).dtype;
  if (s.result().numel() == 0) return nullptr;
  if (t == DType::f32 && a.largest) return std::make_shared<ExtremePlan<float, true>>(s, a);
  if (t == DType::f32) return std::make_shared<ExtremePlan<float, false>>(s, a);
  if (t == DType::i64 && a.largest) return std::make_shared<ExtremePlan<int64_t, true>>(s, a);
  if (t == DType::i64) return std::make_shared<ExtremePlan<int64_t, false>>(s, a);
  return nullptr;
}

constexpr Kernel table[] = {{&ops::cumsum, plan_cumsum}, {&ops::argreduce, plan_argreduce}};

}  // namespace

std::span<const Kernel> scan_kernels() { return table; }

}  // namespace fovea::kernels::cpu
