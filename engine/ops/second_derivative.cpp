// SPDX-License-Identifier: Apache-2.0
// engine/ops/second_derivative.cpp — the second derivative of every pointwise function, for gradients of gradients.
#include <numbers>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

Tensor where_below_zero(const Tensor& x, const Tensor& inside) { return where(less(x, 0.0), inside, scalar(0, x)); }
Tensor inside(const Tensor& x, double lo, double hi, double value) {
  return where(logical_and(greater(x, lo), less(x, hi)), scalar(value, x), scalar(0, x));
}

// x sigmoid(k x)
Tensor swish_second(const Tensor& x, double k) {
  const Tensor s = sigmoid(x * k);
  return s * (1.0 - s) * (2.0 + (x * k) * (1.0 - s * 2.0)) * k;
}

// x tanh(softplus(x))
Tensor mish_second(const Tensor& x) {
  const Tensor t = tanh(softplus(x)), s = sigmoid(x), slope = 1.0 - square(t);
  const Tensor first = slope * s, second = slope * s * (1.0 - s - t * s * 2.0);
  return first * 2.0 + x * second;
}

Tensor gelu_second(const Tensor& x) {
  return exp(square(x) * -0.5) * (2.0 - square(x)) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}

Tensor gelu_tanh_second(const Tensor& x) {
  constexpr double k = 0.044715, c = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const Tensor t = tanh((x + square(x) * x * k) * c), slope = 1.0 - square(t);
  const Tensor first = (square(x) * (3 * k) + 1.0) * c, second = x * (6 * k * c);
  return slope * first + x * slope * (second * 0.5 - t * square(first));
}

}  // namespace

Tensor unary_second(const Tensor& x, Unary fn, float a) {
  const double slope = static_cast<double>(a);
  switch (fn) {
    case Unary::square: return ones_like(x) * 2.0;
    case Unary::sqrt: return pow(x, -1.5) * -0.25;
    case Unary::rsqrt: return pow(x, -2.5) * 0.75;
    case Unary::reciprocal: return pow(x, -3.0) * 2.0;
    case Unary::exp:
    case Unary::expm1: return exp(x);
    case Unary::log: return -reciprocal(square(x));
    case Unary::log1p: return -reciprocal(square(x + 1.0));
    case Unary::sin: return -sin(x);
    case Unary::cos: return -cos(x);
    case Unary::erf: return exp(-square(x)) * x * (-4 * std::numbers::inv_sqrtpi);
    case Unary::pow: return pow(x, slope - 2) * (slope * (slope - 1));
    case Unary::elu: return where_below_zero(x, exp(x) * slope);
    case Unary::celu: return where_below_zero(x, exp(x * (1 / slope)) * (1 / slope));
    case Unary::selu: return where_below_zero(x, exp(x) * (1.0507009873554805 * 1.6732632423543772));
    case Unary::sigmoid: {
      const Tensor s = sigmoid(x);
      return s * (1.0 - s) * (1.0 - s * 2.0);
    }
    case Unary::tanh: {
      const Tensor t = tanh(x);
      return t * (1.0 - square(t)) * -2.0;
    }
    case Unary::softplus: return sigmoid(x) * sigmoid(-x);
    case Unary::log_sigmoid: return -(sigmoid(x) * sigmoid(-x));
    case Unary::silu: return swish_second(x, 1);
    case Unary::quick_gelu: return swish_second(x, 1.702);
    case Unary::mish: return mish_second(x);
    case Unary::gelu: return gelu_second(x);
    case Unary::gelu_tanh: return gelu_tanh_second(x);
    case Unary::hard_swish: return inside(x, -3, 3, 1.0 / 3);
    case Unary::hard_mish: return inside(x, -2, 0, 1);
    default: return {};
  }
}

}  // namespace fovea
