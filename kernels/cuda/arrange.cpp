// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/arrange.cpp — plans of ops that only move elements: copy, cat, pad and its adjoint, unslice, flip, roll.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/elements.h"
#include "kernels/cuda/device/fetch.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

FetchParams as_it_lies(const Meta& x, const Meta& y) {
  FetchParams p{};
  p.grid = grid_of(y.shape);
  for (int d = 0; d < y.rank(); ++d) {
    p.to[d] = y.strides[d];
    p.from[d] = x.strides[d];
    p.sources[d] = {PadMode::constant, 1, 0, x.shape[d], 1};
  }
  return p;
}

PlanPtr plan_fetch(const char* what, const Meta& y, const FetchParams& p) {
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_elements(by_width(KernelId::fetch_1, y.dtype), p.grid.count), p, {{&p.y, out()}, {&p.x, in(0)}});
  return plan;
}

PlanPtr plan_copy(const Site& s) {
  const Meta &x = s.operand(0), &y = s.result();
  const Walk walk = walk_over(y.shape, {y.strides, x.strides});
  FetchParams p{};
  p.grid = walk.grid;
  for (int d = 0; d < walk.grid.rank; ++d) {
    p.to[d] = walk.strides[0][d], p.from[d] = walk.strides[1][d];
    p.sources[d] = {PadMode::constant, 1, 0, walk.grid.sizes[d], 1};
  }
  return plan_fetch("copy", y, p);
}

PlanPtr plan_cat(const Site& s) {                  // each operand into its part of the result
  const int dim = s.attrs<AxisAttrs>().dim;
  const Meta& y = s.result();
  auto plan = std::make_shared<LaunchPlan>("cat");
  int64_t at = 0;
  for (size_t i = 0; i < s.in.size(); ++i) {
    Meta part = y;
    part.shape[dim] = s.in[i].shape[dim];
    FetchParams p = as_it_lies(s.in[i], part);
    p.start = at * y.strides[dim];
    plan->add(for_elements(by_width(KernelId::fetch_1, y.dtype), p.grid.count), p,
              {{&p.y, out()}, {&p.x, in(static_cast<int>(i))}});
    at += part.shape[dim];
  }
  return plan;
}

// The bits of a number as an element of this dtype.
uint64_t bits_of_number(DType t, float v) {
  uint64_t bits = 0;
  store(t, v, &bits, 0);
  return bits;
}

PlanPtr plan_pad(const Site& s) {
  const auto& attrs = s.attrs<PadAttrs>();
  FetchParams p = as_it_lies(s.operand(0), s.result());
  for (int d = 0; d < p.grid.rank; ++d) p.sources[d] = {attrs.mode, 1, -attrs.lo[d], s.operand(0).shape[d], 1};
  p.outside = bits_of_number(s.result().dtype, attrs.value);
  return plan_fetch("pad", s.result(), p);
}

// Where padding was constant, elements come back from one place each; other modes would add up several.
PlanPtr plan_pad_dx(const Site& s) {
  const auto& attrs = s.attrs<PadAttrs>();
  if (attrs.mode != PadMode::constant) return nullptr;
  FetchParams p = as_it_lies(s.operand(0), s.result());
  for (int d = 0; d < p.grid.rank; ++d) p.sources[d] = {attrs.mode, 1, attrs.lo[d], s.operand(0).shape[d], 1};
  return plan_fetch("pad_dx", s.result(), p);
}

PlanPtr plan_unslice(const Site& s) {
  const auto& attrs = s.attrs<SliceAttrs>();
  FetchParams p = as_it_lies(s.operand(0), s.result());
  p.sources[attrs.dim] = {PadMode::constant, 1, -attrs.start, s.operand(0).shape[attrs.dim], attrs.step};
  return plan_fetch("unslice", s.result(), p);
}

PlanPtr plan_flip(const Site& s) {
  FetchParams p = as_it_lies(s.operand(0), s.result());
  for (int64_t axis : s.attrs<DimsAttrs>().axes) {
    Source& source = p.sources[axis];
    source = {PadMode::constant, -1, source.size - 1, source.size, 1};
  }
  return plan_fetch("flip", s.result(), p);
}

PlanPtr plan_roll(const Site& s) {
  const auto& attrs = s.attrs<DimsAttrs>();
  FetchParams p = as_it_lies(s.operand(0), s.result());
  for (int k = 0; k < attrs.axes.size(); ++k) {
    Source& source = p.sources[attrs.axes[k]];
    source.mode = PadMode::circular;
    source.offset = -attrs.shifts[k];
  }
  return plan_fetch("roll", s.result(), p);
}

}  // namespace

std::span<const Kernel> arrange_kernels() {
  static constexpr Kernel table[] = {
      {&ops::copy, plan_copy},     {&ops::cat, plan_cat},         {&ops::pad, plan_pad},
      {&ops::flip, plan_flip},     {&ops::unslice, plan_unslice}, {&ops::pad_dx, plan_pad_dx},
      {&ops::roll, plan_roll},
  };
  return table;
}

}  // namespace fovea::cuda
