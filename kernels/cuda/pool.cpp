// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/pool.cpp — plans of pooling, and of the gradients of averages.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/pool.h"
#include "kernels/cuda/images.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

PoolParams pool_params(const Meta& x, const Meta& y, const Meta& result) {
  PoolParams p{};
  p.places = places_of(result);
  p.x = image_elements(x), p.y = image_elements(y);
  const Triple size = spatial_of(x.shape), places = spatial_of(y.shape);
  for (size_t d = 0; d < 3; ++d) p.window.size[d] = size[d], p.window.out[d] = places[d];
  return p;
}

PoolParams sliding(const PoolAttrs& a, const Meta& x, const Meta& y, const Meta& result) {
  PoolParams p = pool_params(x, y, result);
  const Triple kernel = triple(a.kernel, 1), stride = triple(a.stride, 1), dilation = triple(a.dilation, 1);
  const Triple lo = triple(a.pad_lo, 0), hi = triple(a.pad_hi, 0);
  for (size_t d = 0; d < 3; ++d) {
    p.window.kernel[d] = kernel[d], p.window.stride[d] = stride[d], p.window.dilation[d] = dilation[d];
    p.window.pad[d] = lo[d], p.pad_hi[d] = hi[d];
  }
  p.count_padding = a.count_include_pad, p.divisor = a.divisor;
  return p;
}

PoolParams adaptive(const Meta& x, const Meta& y, const Meta& result) {
  PoolParams p = pool_params(x, y, result);
  p.adaptive = true;
  return p;
}

PlanPtr plan_average(const Site& s, const char* what, const PoolParams& p, bool adjoint) {
  const KernelId first = adjoint ? KernelId::avg_pool_dx_f32 : KernelId::avg_pool_f32;
  const Elements &from = adjoint ? p.y : p.x, &to = adjoint ? p.x : p.y;
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_elements(variant(first, number_of(s)), p.places.grid.count), p,
            {{&from.data, in(0)}, {&to.data, out()}});
  return plan;
}

PlanPtr plan_maximum(const Site& s, const char* what, PoolParams p) {
  if (number_of(s) == Number::i64) return nullptr;
  std::vector<LaunchPlan::Field> fields{{&p.x.data, in(0)}, {&p.y.data, out()}};
  if (s.out.size() > 1) {
    if (s.result(1).dtype != DType::i64) return nullptr;
    fields.push_back({&p.index, out(1)});
    std::copy_n(image_elements(s.result(1)).strides, 5, p.index_strides);
  }
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_elements(variant(KernelId::max_pool_f32, number_of(s)), p.places.grid.count), p, fields);
  return plan;
}

PlanPtr plan_max_pool(const Site& s) {
  return plan_maximum(s, "max_pool", sliding(s.attrs<PoolAttrs>(), s.operand(0), s.result(), s.result()));
}
PlanPtr plan_adaptive_max_pool(const Site& s) {
  return plan_maximum(s, "adaptive_max_pool", adaptive(s.operand(0), s.result(), s.result()));
}
PlanPtr plan_avg_pool(const Site& s) {
  return plan_average(s, "avg_pool", sliding(s.attrs<PoolAttrs>(), s.operand(0), s.result(), s.result()), false);
}
PlanPtr plan_avg_pool_dx(const Site& s) {
  return plan_average(s, "avg_pool_dx", sliding(s.attrs<PoolAttrs>(), s.result(), s.operand(0), s.result()), true);
}
PlanPtr plan_adaptive_avg_pool(const Site& s) {
  return plan_average(s, "adaptive_avg_pool", adaptive(s.operand(0), s.result(), s.result()), false);
}
PlanPtr plan_adaptive_avg_pool_dx(const Site& s) {
  return plan_average(s, "adaptive_avg_pool_dx", adaptive(s.result(), s.operand(0), s.result()), true);
}

}  // namespace

std::span<const Kernel> pool_kernels() {
  static constexpr Kernel table[] = {
      {&ops::max_pool, plan_max_pool},
      {&ops::avg_pool, plan_avg_pool},
      {&ops::avg_pool_dx, plan_avg_pool_dx},
      {&ops::adaptive_max_pool, plan_adaptive_max_pool},
      {&ops::adaptive_avg_pool, plan_adaptive_avg_pool},
      {&ops::adaptive_avg_pool_dx, plan_adaptive_avg_pool_dx},
  };
  return table;
}

}  // namespace fovea::cuda
