// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/index.cpp — plans of gather, index_select, index_add and scatter_add. A bad index ends the launch.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/index.h"
#include "kernels/cuda/device/map.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

// y takes its elements along dim from where an index says, which has strides of its own in the shape of y.
PlanPtr plan_gather(const Site& s, const char* what, const Strides& index_strides) {
  const int dim = s.attrs<AxisAttrs>().dim;
  const Meta &x = s.operand(0), &y = s.result();
  if (s.operand(1).dtype != DType::i64) return nullptr;
  GatherParams p{};
  p.grid = grid_of(y.shape);
  for (int d = 0; d < y.rank(); ++d) {
    p.to[d] = y.strides[d];
    p.from[d] = d == dim ? 0 : x.strides[d];
    p.index_strides[d] = index_strides[d];
  }
  p.along = x.strides[dim], p.size = x.shape[dim];
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_elements(by_width(KernelId::gather_1, y.dtype), p.grid.count), p,
            {{&p.y, out()}, {&p.x, in(0)}, {&p.index, in(1)}});
  return plan;
}

PlanPtr plan_elementwise(const Site& s) { return plan_gather(s, "gather", s.operand(1).strides); }

PlanPtr plan_select(const Site& s) {
  Strides along = Dims::filled(s.result().rank(), 0);
  along[s.attrs<AxisAttrs>().dim] = s.operand(1).strides[0];
  return plan_gather(s, "index_select", along);
}

PlanPtr plan_index_add(const Site& s) {
  const Number n = number_of(s);
  if (n == Number::i64 || s.operand(1).dtype != DType::i64) return nullptr;
  const Meta &x = s.operand(0), &y = s.result();
  IndexAddParams p{};
  p.grid = grid_of(y.shape);
  p.y = elements(y), p.x = elements(x);
  p.dim = s.attrs<AxisAttrs>().dim;
  p.index_stride = s.operand(1).strides[0], p.many = s.operand(1).shape[0];
  auto plan = std::make_shared<LaunchPlan>("index_add");
  plan->add(for_elements(variant(KernelId::index_add_f32, n), p.grid.count), p,
            {{&p.y.data, out()}, {&p.x.data, in(0)}, {&p.index, in(1)}});
  return plan;
}

// A copy of what is added to, then the sums; only in dtypes that GPUs add atomically.
PlanPtr plan_scatter_add(const Site& s) {
  const Meta &base = s.operand(0), &index = s.operand(1), &x = s.operand(2), &y = s.result();
  if ((y.dtype != DType::f32 && y.dtype != DType::f64) || index.dtype != DType::i64) return nullptr;
  const int dim = s.attrs<AxisAttrs>().dim;
  const Number n = number_of(s);
  MapParams copy{};
  copy.grid = grid_of(y.shape);
  copy.y = elements(y), copy.x[0] = elements(base);
  ScatterParams p{};
  p.grid = grid_of(index.shape);
  for (int d = 0; d < y.rank(); ++d) {
    p.to[d] = d == dim ? 0 : y.strides[d];
    p.from[d] = x.strides[d];
    p.index_strides[d] = index.strides[d];
  }
  p.along = y.strides[dim], p.size = y.shape[dim];
  auto plan = std::make_shared<LaunchPlan>("scatter_add");
  plan->add(for_elements(variant(KernelId::map_f32, n), copy.grid.count), copy,
            {{&copy.y.data, out()}, {&copy.x[0].data, in(0)}});
  plan->add(for_elements(variant(KernelId::scatter_add_f32, n), p.grid.count), p,
            {{&p.y, out()}, {&p.x, in(2)}, {&p.index, in(1)}});
  return plan;
}

}  // namespace

std::span<const Kernel> index_kernels() {
  static constexpr Kernel table[] = {
      {&ops::gather, plan_elementwise},
      {&ops::scatter_add, plan_scatter_add},
      {&ops::index_select, plan_select},
      {&ops::index_add, plan_index_add},
  };
  return table;
}

}  // namespace fovea::cuda
