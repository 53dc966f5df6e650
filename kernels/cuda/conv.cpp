// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/conv.cpp — plans of convolutions and of their gradients.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/conv.h"
#include "kernels/cuda/images.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

ConvParams conv_params(const ConvAttrs& a, const Meta& x, const Meta& w, const Meta& y, const Meta& result) {
  ConvParams p{};
  p.places = places_of(result);
  const Triple size = spatial_of(x.shape), places = spatial_of(y.shape), kernel = spatial_of(w.shape);
  const Triple stride = triple(a.stride, 1), dilation = triple(a.dilation, 1), pad = triple(a.pad_lo, 0);
  for (size_t d = 0; d < 3; ++d) {
    p.window.size[d] = size[d], p.window.out[d] = places[d], p.window.kernel[d] = kernel[d];
    p.window.stride[d] = stride[d], p.window.dilation[d] = dilation[d], p.window.pad[d] = pad[d];
  }
  p.x = image_elements(x), p.w = image_elements(w), p.y = image_elements(y);
  p.batch = x.shape[0], p.channels = x.shape[1] / a.groups, p.outputs = y.shape[1] / a.groups;
  return p;
}

PlanPtr plan_conv(const Site& s) {
  const auto& attrs = s.attrs<ConvAttrs>();
  ConvParams p = conv_params(attrs, s.operand(0), s.operand(1), s.result(), s.result());
  std::vector<LaunchPlan::Field> fields{{&p.x.data, in(0)}, {&p.w.data, in(1)}, {&p.y.data, out()}};
  if (s.has(2)) fields.push_back({&p.bias.data, in(2)}), p.bias = elements(s.operand(2));
  if (s.has(3)) fields.push_back({&p.residual.data, in(3)}), p.residual = image_elements(s.operand(3));
  p.act = attrs.epilogue.act, p.a = attrs.epilogue.a, p.b = attrs.epilogue.b;
  auto plan = std::make_shared<LaunchPlan>("conv");
  plan->add(for_elements(variant(KernelId::conv_f32, number_of(s)), p.places.grid.count), p, fields);
  return plan;
}

PlanPtr plan_conv_dx(const Site& s) {              // gy, w -> gx
  const ConvParams p =
      conv_params(s.attrs<ConvAttrs>(), s.result(), s.operand(1), s.operand(0), s.result());
  auto plan = std::make_shared<LaunchPlan>("conv_dx");
  plan->add(for_elements(variant(KernelId::conv_dx_f32, number_of(s)), p.places.grid.count), p,
            {{&p.y.data, in(0)}, {&p.w.data, in(1)}, {&p.x.data, out()}});
  return plan;
}

PlanPtr plan_conv_dw(const Site& s) {              // gy, x -> gw
  const ConvParams p =
      conv_params(s.attrs<ConvAttrs>(), s.operand(1), s.result(), s.operand(0), s.result());
  const int64_t each = p.batch * p.window.out[0] * p.window.out[1] * p.window.out[2];
  auto plan = std::make_shared<LaunchPlan>("conv_dw");
  plan->add(for_rows(variant(KernelId::conv_dw_f32, number_of(s)), p.places.grid.count, each, sizeof(double)), p,
            {{&p.y.data, in(0)}, {&p.x.data, in(1)}, {&p.w.data, out()}});
  return plan;
}

bool any_epilogue(const Site&, const Epilogue&) { return true; }

}  // namespace

std::span<const Kernel> conv_kernels() {
  static constexpr Kernel table[] = {
      {&ops::conv, plan_conv, any_epilogue}, {&ops::conv_dx, plan_conv_dx}, {&ops::conv_dw, plan_conv_dw}};
  return table;
}

}  // namespace fovea::cuda
