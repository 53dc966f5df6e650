// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/norm.cpp — plans of batch, layer, RMS and group norm, and of their gradients.
#include "engine/ops/gradients.h"
#include "engine/ops/lowered/fused.h"
#include "engine/ops/ops.h"
#include "kernels/cuda/device/map.h"
#include "kernels/cuda/device/rows.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

// Rows are the places of the dimensions `outer`, their elements those of the dimensions `inner`.
template <class Params>
void set_rows(Params& p, const Shape& s, const Dims& outer, const Dims& inner) {
  Shape rows, elements;
  for (int64_t d : outer) rows.push_back(s[static_cast<int>(d)]);
  for (int64_t d : inner) elements.push_back(s[static_cast<int>(d)]);
  p.outer = grid_of(rows), p.inner = grid_of(elements);
}
Elements in_rows(const Meta& m, const Dims& outer, const Dims& inner) {
  Elements e{nullptr, m.dtype, {}};
  int at = 0;
  for (const Dims* dims : {&outer, &inner})
    for (int64_t d : *dims) e.strides[at++] = m.strides[static_cast<int>(d)];
  return e;
}
Dims range(int from, int to) {
  Dims d;
  for (int i = from; i < to; ++i) d.push_back(i);
  return d;
}
Dims without_channels(int rank) {                  // dimension 0, and those from 2 on
  Dims d{0};
  for (int i = 2; i < rank; ++i) d.push_back(i);
  return d;
}
bool is_dense(const Site& s, int i) { return !s.has(i) || s.operand(i).is_contiguous(); }
bool factors_are_dense(const Site& s) {
  for (int i = 1; i < static_cast<int>(s.in.size()); ++i)
    if (!is_dense(s, i)) return false;
  return true;
}

std::shared_ptr<LaunchPlan> plan_norm(const Site& s, const char* what, NormParams& p,
                                      std::vector<LaunchPlan::Field> fields, int bias) {
  p.eps = s.attrs<NormAttrs>().eps;
  fields.insert(fields.end(), {{&p.x.data, in(0)}, {&p.y.data, out()}});
  if (s.has(1)) fields.push_back({&p.w.data, in(1)}), p.w.dtype = s.operand(1).dtype;
  if (bias && s.has(bias)) fields.push_back({&p.b.data, in(bias)}), p.b.dtype = s.operand(bias).dtype;
  auto plan = std::make_shared<LaunchPlan>(what);
  plan->add(for_rows(variant(KernelId::norm_f32, number_of(s)), p.outer.count, p.inner.count, sizeof(double)), p,
            fields);
  return plan;
}

template <bool centered>
PlanPtr plan_trailing(const Site& s) {             // layer_norm, rms_norm
  if (!factors_are_dense(s)) return nullptr;
  const Meta& x = s.operand(0);
  const int first = x.rank() - s.attrs<NormAttrs>().dims;
  const Dims outer = range(0, first), inner = range(first, x.rank());
  NormParams p{};
  set_rows(p, x.shape, outer, inner);
  p.x = in_rows(x, outer, inner), p.y = in_rows(s.result(), outer, inner);
  p.centered = centered;
  p.factor_rows = 1, p.row_step = 0, p.element_run = 1, p.element_step = 1;
  return plan_norm(s, centered ? "layer_norm" : "rms_norm", p, {}, centered ? 2 : 0);
}

PlanPtr plan_group_norm(const Site& s) {           // rows of neighbouring channels: x must lie as it is written
  const Meta& x = s.operand(0);
  if (!factors_are_dense(s) || !x.is_contiguous() || !s.result().is_contiguous() || x.numel() == 0) return nullptr;
  const int64_t groups = s.attrs<NormAttrs>().groups, channels = x.shape[1] / groups;
  NormParams p{};
  p.outer = grid_of({x.shape[0] * groups});
  p.inner = grid_of({x.numel() / p.outer.count});
  p.x.dtype = x.dtype, p.y.dtype = s.result().dtype;
  for (Elements* e : {&p.x, &p.y}) e->strides[0] = p.inner.count, e->strides[1] = 1;
  p.centered = true;
  p.factor_rows = groups, p.row_step = channels, p.element_run = p.inner.count / channels, p.element_step = 1;
  return plan_norm(s, "group_norm", p, {}, 2);
}

PlanPtr plan_batch_norm(const Site& s) {
  if (!factors_are_dense(s)) return nullptr;
  const Meta& x = s.operand(0);
  const Dims channel{1}, rest = without_channels(x.rank());
  NormParams p{};
  set_rows(p, x.shape, channel, rest);
  p.x = in_rows(x, channel, rest), p.y = in_rows(s.result(), channel, rest);
  p.centered = true;
  p.factor_rows = std::max<int64_t>(1, x.shape[1]), p.row_step = 1, p.element_run = 1, p.element_step = 0;
  p.mean.dtype = s.result(1).dtype, p.invstd.dtype = s.result(2).dtype;
  return plan_norm(s, "batch_norm", p, {{&p.mean.data, out(1)}, {&p.invstd.data, out(2)}}, 2);
}

PlanPtr plan_batch_norm_dx(const Site& s) {        // gy, x, w, mean, invstd -> gx, gw, gb
  for (int i = 2; i < 5; ++i)
    if (!is_dense(s, i)) return nullptr;
  const Meta& x = s.operand(1);
  const Dims channel{1}, rest = without_channels(x.rank());
  NormDxParams p{};
  set_rows(p, x.shape, channel, rest);
  p.gy = in_rows(s.operand(0), channel, rest), p.x = in_rows(x, channel, rest);
  p.gx = in_rows(s.result(), channel, rest);
  p.mean.dtype = s.operand(3).dtype, p.invstd.dtype = s.operand(4).dtype;
  p.gw.dtype = s.result(1).dtype, p.gb.dtype = s.result(2).dtype;
  std::vector<LaunchPlan::Field> fields{{&p.gy.data, in(0)},   {&p.x.data, in(1)},      {&p.mean.data, in(3)},
                                        {&p.invstd.data, in(4)}, {&p.gx.data, out(0)}, {&p.gw.data, out(1)},
                                        {&p.gb.data, out(2)}};
  if (s.has(2)) fields.push_back({&p.w.data, in(2)}), p.w.dtype = s.operand(2).dtype;
  auto plan = std::make_shared<LaunchPlan>("batch_norm_dx");
  plan->add(for_rows(variant(KernelId::norm_dx_f32, number_of(s)), p.outer.count, p.inner.count, sizeof(double)), p,
            fields);
  return plan;
}

PlanPtr plan_layer_norm_dx(const Site& s) {        // gy, x, w -> gx, gw, gb
  const Meta &gy = s.operand(0), &x = s.operand(1);
  if (!is_dense(s, 2) || !x.is_contiguous() || !gy.is_contiguous() || !s.result().is_contiguous()) return nullptr;
  const Number n = number_of(s);
  const int64_t size = s.result(1).numel(), rows = size ? x.numel() / size : 0;
  NormDxParams p{};
  p.outer = grid_of({rows}), p.inner = grid_of({size});
  p.gy.dtype = gy.dtype, p.x.dtype = x.dtype, p.gx.dtype = s.result().dtype;
  for (Elements* e : {&p.gy, &p.x, &p.gx}) e->strides[0] = size, e->strides[1] = 1;
  p.eps = s.attrs<NormAttrs>().eps;
  p.by_element = true;
  const DType stats = n == Number::f64 ? DType::f64 : DType::f32;
  p.made_mean.dtype = p.made_invstd.dtype = stats;
  auto plan = std::make_shared<LaunchPlan>("layer_norm_dx");
  const size_t mean = plan->lend(static_cast<size_t>(rows) * size_of(stats));
  const size_t invstd = plan->lend(static_cast<size_t>(rows) * size_of(stats));
  std::vector<LaunchPlan::Field> fields{{&p.gy.data, in(0)}, {&p.x.data, in(1)}, {&p.gx.data, out(0)},
                                        {&p.made_mean.data, lent(mean)}, {&p.made_invstd.data, lent(invstd)}};
  if (s.has(2)) fields.push_back({&p.w.data, in(2)}), p.w.dtype = s.operand(2).dtype;
  plan->add(for_rows(variant(KernelId::norm_dx_f32, n), rows, size, sizeof(double)), p, fields);
  NormDxParams w = p;
  w.mean.dtype = w.invstd.dtype = stats;
  w.gw.dtype = s.result(1).dtype, w.gb.dtype = s.result(2).dtype;
  plan->add(for_rows(variant(KernelId::norm_dw_f32, n), size, rows, sizeof(double)), w,
            {{&w.gy.data, in(0)}, {&w.x.data, in(1)}, {&w.mean.data, lent(mean)}, {&w.invstd.data, lent(invstd)},
             {&w.gw.data, out(1)}, {&w.gb.data, out(2)}});
  return plan;
}

// Factors along dimension 1 of what x has.
Elements along_channels(const Meta& m) {
  Elements e{nullptr, m.dtype, {}};
  e.strides[1] = m.strides[0];
  return e;
}

PlanPtr plan_batch_norm_eval(const Site& s) {      // x, w, b, mean, var
  const Meta &x = s.operand(0), &y = s.result();
  AffineParams p{};
  p.grid = grid_of(y.shape);
  p.y = elements(y), p.x = elements(x);
  p.eps = s.attrs<NormAttrs>().eps;
  p.mean = along_channels(s.operand(3)), p.var = along_channels(s.operand(4));
  std::vector<LaunchPlan::Field> fields{
      {&p.y.data, out()}, {&p.x.data, in(0)}, {&p.mean.data, in(3)}, {&p.var.data, in(4)}};
  if (s.has(1)) fields.push_back({&p.gain.data, in(1)}), p.gain = along_channels(s.operand(1));
  if (s.has(2)) fields.push_back({&p.shift.data, in(2)}), p.shift = along_channels(s.operand(2));
  auto plan = std::make_shared<LaunchPlan>("batch_norm_eval");
  plan->add(for_elements(variant(KernelId::affine_f32, number_of(s)), p.grid.count), p, fields);
  return plan;
}

PlanPtr plan_scale_shift(const Site& s) {          // gain, shift, then what is joined along the channels
  const auto& e = s.attrs<ScaleShiftAttrs>().epilogue;
  const Meta& y = s.result();
  auto plan = std::make_shared<LaunchPlan>("scale_shift");
  int64_t channel = 0;
  for (int i = 2; i < static_cast<int>(s.in.size()); channel += s.operand(i++).shape[1]) {
    const Meta& x = s.operand(i);
    AffineParams p{};
    p.grid = grid_of(x.shape);
    p.y = elements(y), p.x = elements(x);
    p.gain = along_channels(s.operand(0)), p.shift = along_channels(s.operand(1));
    p.first_channel = channel;
    p.act = e.act, p.a = e.a, p.b = e.b;
    plan->add(for_elements(variant(KernelId::affine_f32, number_of(s)), p.grid.count), p,
              {{&p.y.data, out()}, {&p.x.data, in(i)}, {&p.gain.data, in(0)}, {&p.shift.data, in(1)}});
  }
  return plan;
}

bool accepts_scale_shift(const Site&, const Epilogue& e) { return !e.residual; }

}  // namespace

std::span<const Kernel> norm_kernels() {
  static constexpr Kernel table[] = {
      {&ops::batch_norm, plan_batch_norm},
      {&ops::batch_norm_eval, plan_batch_norm_eval},
      {&ops::layer_norm, plan_trailing<true>},
      {&ops::rms_norm, plan_trailing<false>},
      {&ops::group_norm, plan_group_norm},
      {&ops::scale_shift, plan_scale_shift, accepts_scale_shift},
      {&ops::batch_norm_dx, plan_batch_norm_dx},
      {&ops::layer_norm_dx, plan_layer_norm_dx},
  };
  return table;
}

}  // namespace fovea::cuda
