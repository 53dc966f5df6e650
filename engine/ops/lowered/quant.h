// SPDX-License-Identifier: Apache-2.0
// engine/ops/lowered/quant.h — ops on quantised values: u8 stands for scale * (q - zero), weights are s8 with a scale a
// channel.
#pragma once
#include "engine/ops/ops.h"

namespace fovea {

/// What u8 values mean: value = scale * (q - zero), one pair a tensor. A scale of 0: the tensor is not quantised.
struct Quant {
  float scale = 0;
  int32_t zero = 0;
  explicit operator bool() const { return scale > 0; }
  friend bool operator==(const Quant&, const Quant&) = default;
};
FOVEA_ATTRS(Quant, scale, zero)

struct QuantAttrs {                                // quantize, dequantize, quant_mean
  Quant quant;
};
FOVEA_ATTRS(QuantAttrs, quant)

struct QuantConvAttrs {
  ConvAttrs conv;
  Quant x, residual, y;                            // without one: that value is f32
};
FOVEA_ATTRS(QuantConvAttrs, conv, x, residual, y)

struct QuantGateAttrs {
  Quant x, y;
};
FOVEA_ATTRS(QuantGateAttrs, x, y)

namespace ops {
/// round(x / scale) + zero, to nearest even, between 0 and 255.
extern const OpDef quantize;
extern const OpDef dequantize;
/// Twelve bits of each element as two channels of u8: n = round(16 x / scale) + 16 zero, between 0 and 4095; the first
/// C channels are n / 16, the others n modulo 16. x is scale * (first - zero + second / 16).
extern const OpDef quantize_fine;
/// act(scale[c] * (sum w q + bias[c]) [+ residual]): x u8 with elements q, w s8, scale f32, bias s32; sums are exact.
/// Padding holds the zero of x; what the zeros add to a sum is for the bias to take away.
extern const OpDef quant_conv;
/// act(sum w x + bias) for depthwise convolutions, which move more than they compute and keep their weights: x u8 (as
/// the numbers that its elements are; padding holds the zero of x) or f32, w and bias f32; y u8 or f32. Without a
/// residual.
extern const OpDef quant_depthwise;
/// act(w x + b): a linear layer of x f32[rows, features] whose weights are f16 and everything else f32, because with
/// few rows reading the weights is all its work. LinearAttrs; without a residual.
extern const OpDef half_linear;
extern const OpDef quant_gate;                     // x[n, c, ...] * gate[n, c], u8 by f32
extern const OpDef quant_mean;                     // over everything but N and C, kept as sizes of 1: u8 to f32
extern const OpDef quant_max_pool;                 // of u8, whose largest is the largest value
}  // namespace ops

/// The pair under which [lo, hi], widened to hold 0, covers 0 to 255.
Quant quant_for(float lo, float hi);

}  // namespace fovea
