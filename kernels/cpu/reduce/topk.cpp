// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/reduce/topk.cpp — the k largest or smallest along an axis, sorted, and where they stood; a thread a line.
#include <algorithm>
#include <numeric>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/lines.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

template <class T>
class TopkPlan final : public Plan {
 public:
  TopkPlan(const Site& s, const TopkAttrs& a)
      : attrs_(a), y_along_(s.result().strides[a.dim]), lines_(s.operand(0), a.dim, without(s.result(), a.dim)) {
    name = "cpu:sort";
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* values = reinterpret_cast<T*>(a.out[0]);
    auto* indices = reinterpret_cast<int64_t*>(a.out[1]);
    lines_.each([&](int64_t from, int64_t to, int64_t n) {
      const ThreadArray<int64_t> order(static_cast<size_t>(lines_.size));
      const ThreadArray<T> row(static_cast<size_t>(lines_.size));
      for (int64_t i = 0; i < n; ++i, from += lines_.x_step(), to += lines_.y_step()) {
        for (int64_t k = 0; k < lines_.size; ++k) row.data()[k] = x[from + k * lines_.along];
        sort(row.data(), order.data());
        for (int64_t k = 0; k < attrs_.k; ++k) {
          indices[to + k * y_along_] = order.data()[k];
          values[to + k * y_along_] = row.data()[order.data()[k]];
        }
      }
    });
  }

 private:
  // NaN is the largest; of equal ones the first comes first.
  void sort(const T* row, int64_t* order) const {
    std::iota(order, order + lines_.size, int64_t{0});
    const auto above = [row](int64_t a, int64_t b) {
      return row[a] > row[b] || (row[a] != row[a] && row[b] == row[b]);
    };
    const auto by = [&](auto before) {
      std::partial_sort(order, order + attrs_.k, order + lines_.size,
                        [&](int64_t a, int64_t b) { return before(a, b) || (!before(b, a) && a < b); });
    };
    if (attrs_.largest) by(above);
    else by([&](int64_t a, int64_t b) { return above(b, a); });
  }

  TopkAttrs attrs_;
  int64_t y_along_;
  Lines lines_;
};
PlanPtr plan_topk(const Site& s) {
  const auto& a = s.attrs<TopkAttrs>();
  if (s.result().numel() == 0 || s.result(0).strides != s.result(1).strides) return nullptr;
  if (s.operand(0).dtype == DType::f32) return std::make_shared<TopkPlan<float>>(s, a);
  if (s.operand(0).dtype == DType::i64) return std::make_shared<TopkPlan<int64_t>>(s, a);
  return nullptr;
}

constexpr Kernel table[] = {{&ops::topk, plan_topk}};

}  // namespace

std::span<const Kernel> topk_kernels() { return table; }

}  // namespace fovea::kernels::cpu
