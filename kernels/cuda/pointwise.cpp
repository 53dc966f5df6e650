// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/pointwise.cpp — plans of cast, unary and its gradient, binary, where, and chains; conversions.
#include "engine/ops/lowered/chain.h"
#include "engine/ops/ops.h"
#include "kernels/cuda/device/map.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

MapParams map_params(const Meta& y, const Meta& first, const Meta* second, Launch& launch, Number n) {
  std::vector<Strides> arrays{y.strides, expanded_strides(first, y.shape)};
  if (second) arrays.push_back(expanded_strides(*second, y.shape));
  const Walk walk = walk_over(y.shape, arrays);
  MapParams p{};
  p.grid = walk.grid;
  p.y.dtype = y.dtype, p.x[0].dtype = first.dtype;
  set_strides(p.y, walk.strides[0]);
  set_strides(p.x[0], walk.strides[1]);
  if (second) {
    p.x[1].dtype = second->dtype;
    set_strides(p.x[1], walk.strides[2]);
  }
  launch = for_elements(variant(KernelId::map_f32, n), walk.grid.count);
  return p;
}

PlanPtr plan_map(const Site& s, const char* what, MapParams attrs, Number n) {
  const bool two = attrs.kind == Link::Kind::binary || attrs.kind == Link::Kind::unary_dx;
  Launch launch{};
  MapParams p = map_params(s.result(), s.operand(0), two ? &s.operand(1) : nullptr, launch, n);
  p.kind = attrs.kind, p.fn = attrs.fn, p.op = attrs.op, p.a = attrs.a, p.b = attrs.b;
  auto plan = std::make_shared<LaunchPlan>(what);
  if (two) plan->add(launch, p, {{&p.y.data, out()}, {&p.x[0].data, in(0)}, {&p.x[1].data, in(1)}});
  else plan->add(launch, p, {{&p.y.data, out()}, {&p.x[0].data, in(0)}});
  return plan;
}

// An integer keeps all its bits until it is rounded once.
Number number_between(const Meta& from, const Meta& to) {
  if (!is_floating(from.dtype)) return Number::i64;
  return from.dtype == DType::f64 || to.dtype == DType::f64 ? Number::f64 : Number::f32;
}

PlanPtr plan_cast(const Site& s) { return plan_map(s, "cast", {}, number_between(s.operand(0), s.result())); }

PlanPtr plan_unary(const Site& s) {
  const auto& attrs = s.attrs<UnaryAttrs>();
  MapParams p{};
  p.kind = Link::Kind::unary, p.fn = attrs.fn, p.a = attrs.a, p.b = attrs.b;
  return plan_map(s, "unary", p, number_of(s));
}

PlanPtr plan_unary_dx(const Site& s) {
  const auto& attrs = s.attrs<UnaryAttrs>();
  if (number_of(s) == Number::i64) return nullptr;
  MapParams p{};
  p.kind = Link::Kind::unary_dx, p.fn = attrs.fn, p.a = attrs.a, p.b = attrs.b;
  return plan_map(s, "unary_dx", p, number_of(s));
}

PlanPtr plan_binary(const Site& s) {
  MapParams p{};
  p.kind = Link::Kind::binary, p.op = s.attrs<BinaryAttrs>().fn;
  return plan_map(s, "binary", p, number_of(s));
}

PlanPtr plan_where(const Site& s) {
  const Meta& y = s.result();
  std::vector<Strides> arrays{y.strides};
  for (int k = 0; k < 3; ++k) arrays.push_back(expanded_strides(s.operand(k), y.shape));
  const Walk walk = walk_over(y.shape, arrays);
  WhereParams p{};
  p.grid = walk.grid;
  set_strides(p.y, walk.strides[0]);
  for (int k = 0; k < 3; ++k) set_strides(p.x[k], walk.strides[static_cast<size_t>(k) + 1]);
  auto plan = std::make_shared<LaunchPlan>("where");
  plan->add(for_elements(by_width(KernelId::where_1, y.dtype), walk.grid.count), p,
            {{&p.y.data, out()}, {&p.x[0].data, in(0)}, {&p.x[1].data, in(1)}, {&p.x[2].data, in(2)}});
  return plan;
}

PlanPtr plan_chain(const Site& s) {
  if (s.in.size() > ChainParams::kMostOperands) return nullptr;
  const auto& attrs = s.attrs<ChainAttrs>();
  ChainParams p{};
  p.count = s.result().numel();
  p.size = attrs.size, p.given = attrs.given;
  std::copy(attrs.links.begin(), attrs.links.end(), p.links);
  std::copy(attrs.results.begin(), attrs.results.end(), p.results);
  std::vector<LaunchPlan::Field> fields;
  for (size_t i = 0; i < s.in.size(); ++i) {
    p.single[i] = s.in[i].numel() == 1;
    fields.push_back({&p.x[i], in(static_cast<int>(i))});
  }
  for (int i = 0; i < attrs.given; ++i) fields.push_back({&p.y[i], out(i)});
  auto plan = std::make_shared<LaunchPlan>("chain");
  plan->add(for_elements(KernelId::chain_f32, p.count), p, fields);
  return plan;
}

}  // namespace

void convert(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream& s) {
  Launch launch{};
  MapParams p = map_params(to, from, nullptr, launch, number_between(from, to));
  p.y.data = target;
  p.x[0].data = const_cast<std::byte*>(source);
  if (launch.blocks) static_cast<Queue*>(s.handle)->launch(launch, &p, sizeof p);
}

std::span<const Kernel> pointwise_kernels() {
  static constexpr Kernel table[] = {
      {&ops::cast, plan_cast},     {&ops::unary, plan_unary}, {&ops::unary_dx, plan_unary_dx},
      {&ops::binary, plan_binary}, {&ops::where, plan_where}, {&ops::chain, plan_chain},
  };
  return table;
}

}  // namespace fovea::cuda
