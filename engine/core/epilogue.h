// SPDX-License-Identifier: Apache-2.0
// engine/core/epilogue.h — what a convolution or a matrix product may do to its result before storing it.
#pragma once
#include "engine/core/attrs.h"

namespace fovea {

/// Pointwise functions of one operand; a and b are the attributes of the same names. Written f(x).
enum class Unary : uint8_t {
  identity, affine,                                // a x + b
  // round: to even
  neg, abs, sign, square, sqrt, rsqrt, reciprocal, exp, log, log1p, sin, cos, erf, floor, ceil, round,
  pow,                                             // x^a
  clamp,                                           // into [a, b]
  logical_not,
  relu, relu6, leaky_relu,                         // leaky_relu: slope a below zero
  elu, celu, selu,                                 // elu: a; celu: a
  sigmoid, tanh, silu, mish, softplus,             // softplus with beta 1
  gelu, gelu_tanh, quick_gelu,                     // erf form; tanh approximation; x sigmoid(1.702 x)
  hard_sigmoid, hard_swish, hard_mish,             // relu6(x+3)/6; x times that; x/2 clamp(x+2, 0, 2)
  expm1, log_sigmoid,
  count_
};
constexpr Unary kFirstActivation = Unary::relu;
std::string_view name_of(Unary u);
constexpr Unary last_of(Unary) { return Unary::log_sigmoid; }

/// y = act(conv + bias [+ residual]). Users leave it empty; the fusion pass fills it.
struct Epilogue {
  Unary act = Unary::identity;
  float a = 0, b = 0;
  bool residual = false;                           // the op's last operand is added before act
  bool empty() const { return act == Unary::identity && !residual; }
  friend bool operator==(const Epilogue&, const Epilogue&) = default;
};
FOVEA_ATTRS(Epilogue, act, a, b, residual)

}  // namespace fovea
