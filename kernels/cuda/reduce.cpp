// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/reduce.cpp — plans of what a block makes of elements along axes: reductions, arg-reductions, softmax.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cuda/device/rows.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

bool has(const Dims& d, int64_t v) { return std::find(d.begin(), d.end(), v) != d.end(); }

// Rows over `axes`; `y` has a dimension for each of x, of size 1 where it is reduced, or lacks those.
RowsParams rows_over(const Meta& x, const Meta& y, const Dims& axes) {
  Shape outer, inner;
  RowsParams p{};
  p.x.dtype = x.dtype, p.y.dtype = y.dtype;
  int at = 0, in_y = 0;
  const bool kept = x.rank() == y.rank();
  for (int d = 0; d < x.rank(); ++d) {
    if (has(axes, d)) {
      in_y += kept;
      continue;
    }
    outer.push_back(x.shape[d]);
    p.x.strides[at] = x.strides[d];
    p.y.strides[at++] = y.strides[in_y++];
  }
  for (int64_t axis : axes) {
    const int d = static_cast<int>(axis);
    inner.push_back(x.shape[d]);
    p.x.strides[at] = x.strides[d];
    if (kept) p.y.strides[at] = y.strides[d];
    ++at;
  }
  p.outer = grid_of(outer), p.inner = grid_of(inner);
  return p;
}

PlanPtr plan_rows(const char* what, KernelId k, const RowsParams& p, size_t each) {
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_rows(k, p.outer.count, p.inner.count, each), p, {{&p.x.data, in(0)}, {&p.y.data, out()}});
  return plan;
}

PlanPtr plan_reduce(const Site& s) {
  const auto& attrs = s.attrs<ReduceAttrs>();
  RowsParams p = rows_over(s.operand(0), s.result(), attrs.axes);
  p.fn = attrs.fn;
  const bool extreme = p.fn == Reduce::max || p.fn == Reduce::min;
  const Number n = number_of(s);
  if (p.inner.count == 0 && (extreme || (p.fn == Reduce::mean && n == Number::i64))) return nullptr;
  return plan_rows("reduce", variant(KernelId::reduce_f32, n), p, sizeof(double));
}

PlanPtr plan_argreduce(const Site& s) {
  const auto& attrs = s.attrs<ArgReduceAttrs>();
  RowsParams p = rows_over(s.operand(0), s.result(), {attrs.dim});
  p.largest = attrs.largest;
  if (p.inner.count == 0) return nullptr;
  return plan_rows("argreduce", variant(KernelId::argreduce_f32, number_of(s)), p, sizeof(Best<double>));
}

template <bool logarithm>
PlanPtr plan_softmax(const Site& s) {
  const Number n = number_of(s);
  if (n == Number::i64) return nullptr;
  RowsParams p = rows_over(s.operand(0), s.result(), {s.attrs<AxisAttrs>().dim});
  p.logarithm = logarithm;
  return plan_rows(logarithm ? "log_softmax" : "softmax", variant(KernelId::softmax_f32, n), p, sizeof(double));
}

}  // namespace

std::span<const Kernel> reduce_kernels() {
  static constexpr Kernel table[] = {
      {&ops::reduce, plan_reduce},
      {&ops::argreduce, plan_argreduce},
      {&ops::softmax, plan_softmax<false>},
      {&ops::log_softmax, plan_softmax<true>},
  };
  return table;
}

}  // namespace fovea::cuda
