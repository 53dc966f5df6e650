// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/lowered/quant.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

void want(const Site& s, int i, const char* name, DType t) {
  if (s.operand(i).dtype != t) s.fail(str_cat(name, " must be ", name_of(t), ", not ", name_of(s.operand(i).dtype)));
}

void want_quant(const Site& s, const char* name, const Quant& q) {
  if (!(q.scale > 0) || q.zero < 0 || q.zero > 255)
    s.fail(str_cat(name, " has scale=", q.scale, " and zero=", q.zero, "; a scale is positive, a zero in 0 to 255"));
}

Meta as_type(Meta m, DType t) {
  m.dtype = t;
  return m;
}

Metas infer_quantize(const Site& s) {
  want(s, 0, "x", DType::f32);
  want_quant(s, "y", s.attrs<QuantAttrs>().quant);
  return {as_type(same_as(s.operand(0))[0], DType::u8)};
}

Metas infer_quantize_fine(const Site& s) {
  want(s, 0, "x", DType::f32);
  want_quant(s, "y", s.attrs<QuantAttrs>().quant);
  const Meta& x = s.operand(0);
  if (x.rank() < 3) s.fail(str_cat("x has shape ", x.shape, "; it wants at least 3 dimensions"));
  Shape shape = x.shape;
  shape[1] *= 2;
  return {make_meta(DType::u8, shape, x.memory(), x.device)};
}

Metas infer_dequantize(const Site& s) {
  want(s, 0, "x", DType::u8);
  want_quant(s, "x", s.attrs<QuantAttrs>().quant);
  return {as_type(same_as(s.operand(0))[0], DType::f32)};
}

// Shapes are those of a conv in f32, with these operands of ours: its own rule judges them.
Meta like_conv(const Site& s, const QuantConvAttrs& a, std::initializer_list<int> operands) {
  Metas in;
  for (const int i : operands)
    if (i < static_cast<int>(s.in.size()))
      in.push_back(s.operand(i).present() ? as_type(s.operand(i), DType::f32) : Meta{});
  return ops::conv.infer({s.op, in, {}, AttrsRef::of(a.conv)})[0];
}

Metas infer_quant_conv(const Site& s) {
  const auto& a = s.attrs<QuantConvAttrs>();
  want(s, 0, "x", DType::u8);
  want(s, 1, "w", DType::i8);
  want(s, 2, "scale", DType::f32);
  want(s, 3, "bias", DType::i32);
  want_quant(s, "x", a.x);
  if (a.y) want_quant(s, "y", a.y);
  if (s.has(4)) want(s, 4, "residual", a.residual ? DType::u8 : DType::f32);
  if (s.operand(2).shape != s.operand(3).shape)
    s.fail(str_cat("scale has shape ", s.operand(2).shape, ", bias ", s.operand(3).shape));
  return {as_type(like_conv(s, a, {0, 1, 3, 4}), a.y ? DType::u8 : DType::f32)};
}

Metas infer_quant_depthwise(const Site& s) {
  const auto& a = s.attrs<QuantConvAttrs>();
  want(s, 0, "x", a.x ? DType::u8 : DType::f32);
  want(s, 1, "w", DType::f32);
  want(s, 2, "bias", DType::f32);
  if (a.x) want_quant(s, "x", a.x);
  if (a.y) want_quant(s, "y", a.y);
  const Meta &x = s.operand(0), &w = s.operand(1);
  if (x.rank() < 3 || w.rank() != x.rank() || a.conv.groups != x.shape[1] || w.shape[0] != a.conv.groups)
    s.fail(str_cat("x has shape ", x.shape, ", w ", w.shape, " and groups=", a.conv.groups,
                   "; each channel has one filter of its own"));
  if (a.conv.epilogue.residual) s.fail("there is no residual here");
  return {as_type(like_conv(s, a, {0, 1, 2}), a.y ? DType::u8 : DType::f32)};
}

Metas infer_quant_gate(const Site& s) {
  const auto& a = s.attrs<QuantGateAttrs>();
  want(s, 0, "x", DType::u8);
  want(s, 1, "gate", DType::f32);
  want_quant(s, "x", a.x);
  want_quant(s, "y", a.y);
  const Meta &x = s.operand(0), &gate = s.operand(1);
  if (x.rank() < 3 || gate.numel() != x.shape[0] * x.shape[1] || gate.shape[0] != x.shape[0])
    s.fail(str_cat("gate has shape ", gate.shape, "; x ", x.shape, " wants one value for each sample and channel"));
  return same_as(x);
}

Metas infer_quant_mean(const Site& s) {
  want(s, 0, "x", DType::u8);
  want_quant(s, "x", s.attrs<QuantAttrs>().quant);
  const Meta& x = s.operand(0);
  if (x.rank() < 3 || numel(spatial(x.shape)) == 0) s.fail("x has nothing to average");
  return {make_meta(DType::f32, with_spatial(x.shape[0], x.shape[1], Dims::filled(x.rank() - 2, 1)), Memory::contiguous,
                    x.device)};
}

Metas infer_half_linear(const Site& s) {
  want(s, 0, "x", DType::f32);
  want(s, 1, "w", DType::f16);
  Metas as_f32(s.in.begin(), s.in.end());
  as_f32[1] = as_type(as_f32[1], DType::f32);
  if (s.operand(0).rank() != 2) s.fail(str_cat("x has shape ", s.operand(0).shape, "; it wants rows of features"));
  if (s.attrs<LinearAttrs>().epilogue.residual) s.fail("the epilogue has a residual");
  return ops::linear.infer({s.op, as_f32, {}, s.attrs_ref});
}

Metas infer_quant_max_pool(const Site& s) {
  want(s, 0, "x", DType::u8);
  const Metas f32{as_type(s.operand(0), DType::f32)};
  return {as_type(ops::max_pool.infer({s.op, f32, {}, s.attrs_ref})[0], DType::u8)};
}

}  // namespace

namespace ops {
constinit const OpDef quantize{.signature = "quantize(x) -> y", .infer = infer_quantize, .role = Role::pointwise};
constinit const OpDef quantize_fine{
    .signature = "quantize_fine(x) -> y", .infer = infer_quantize_fine, .role = Role::pointwise};
constinit const OpDef dequantize{.signature = "dequantize(x) -> y", .infer = infer_dequantize, .role = Role::pointwise};
constinit const OpDef quant_conv{.signature = "quant_conv(x, w, scale, bias, residual?) -> y",
                                 .infer = infer_quant_conv,
                                 .role = Role::conv,
                                 .work = weights_work,
                                 .epilogue = {offsetof(QuantConvAttrs, conv) + offsetof(ConvAttrs, epilogue), 4}};
constinit const OpDef quant_depthwise{.signature = "quant_depthwise(x, w, bias) -> y",
                                      .infer = infer_quant_depthwise,
                                      .role = Role::conv,
                                      .work = weights_work,
                                      .epilogue = {offsetof(QuantConvAttrs, conv) + offsetof(ConvAttrs, epilogue)}};
constinit const OpDef half_linear{.signature = "half_linear(x, w, b?) -> y",
                                  .infer = infer_half_linear,
                                  .role = Role::product,
                                  .work = weights_work,
                                  .epilogue = {offsetof(LinearAttrs, epilogue)}};
constinit const OpDef quant_gate{
    .signature = "quant_gate(x, gate) -> y", .infer = infer_quant_gate, .role = Role::pointwise};
constinit const OpDef quant_mean{.signature = "quant_mean(x) -> y", .infer = infer_quant_mean, .role = Role::pool};
constinit const OpDef quant_max_pool{
    .signature = "quant_max_pool(x) -> y", .infer = infer_quant_max_pool, .role = Role::pool};
}  // namespace ops

Quant quant_for(float lo, float hi) {
  lo = std::min(lo, 0.f);
  hi = std::max(hi, 0.f);
  constexpr float kLeast = 1e-12f;  // of values that are all 0
  const float scale = std::max((hi - lo) / 255, kLeast);
  return {scale, static_cast<int32_t>(std::clamp(std::nearbyint(-lo / scale), 0.f, 255.f))};
}

}  // namespace fovea
