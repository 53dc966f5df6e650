// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/functions.h — what each Unary and Binary computes, and slopes, in float, double or int64_t.
#pragma once
#include <cmath>

#include "engine/core/epilogue.h"
#include "engine/ops/attrs.h"
#include "kernels/cuda/device/elements.h"

namespace fovea::cuda {

template <class R>
FOVEA_DEVICE R sigmoid(R x) { return 1 / (1 + std::exp(-x)); }
template <class R>
FOVEA_DEVICE R softplus(R x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
template <class R>
FOVEA_DEVICE R clamped(R x, R lo, R hi) {           // NaN stays NaN
  const R above = x < lo ? lo : x;
  return above > hi ? hi : above;
}
template <class R>
FOVEA_DEVICE R normal_cdf(R x) { return R(0.5) * std::erfc(-x * R(0.70710678118654752440)); }
template <class R>
FOVEA_DEVICE R normal_pdf(R x) { return R(0.39894228040143267794) * std::exp(R(-0.5) * x * x); }
template <class R>
FOVEA_DEVICE R gelu_tanh_argument(R x) { return R(0.79788456080286535588) * (x + R(0.044715) * x * x * x); }
template <class R>
FOVEA_DEVICE R swish_slope(R x, R beta) {           // of x sigmoid(beta x)
  const R s = sigmoid(beta * x);
  return s + beta * x * s * (1 - s);
}
template <class R>
FOVEA_DEVICE R gelu_tanh_slope(R x) {
  const R t = std::tanh(gelu_tanh_argument(x));
  return R(0.5) * (1 + t) +
         R(0.5) * x * (1 - t * t) * R(0.79788456080286535588) * (1 + R(3 * 0.044715) * x * x);
}
template <class R>
FOVEA_DEVICE R mish_slope(R x) {
  const R t = std::tanh(softplus(x));
  return t + x * (1 - t * t) * sigmoid(x);
}
template <class R>
constexpr R kSeluScale = R(1.0507009873554804934193349852946);
template <class R>
constexpr R kSeluAlpha = R(1.6732632423543772848170429916717);

/// fn(x) for float and double.
template <class R>
FOVEA_DEVICE R apply(Unary fn, R a, R b, R v) {
  switch (fn) {
    case Unary::identity: case Unary::count_: return v;
    case Unary::affine: return a * v + b;
    case Unary::neg: return -v;
    case Unary::abs: return std::abs(v);
    case Unary::sign: return static_cast<R>((v > 0) - (v < 0));
    case Unary::square: return v * v;
    case Unary::sqrt: return std::sqrt(v);
    case Unary::rsqrt: return 1 / std::sqrt(v);
    case Unary::reciprocal: return 1 / v;
    case Unary::exp: return std::exp(v);
    case Unary::log: return std::log(v);
    case Unary::log1p: return std::log1p(v);
    case Unary::sin: return std::sin(v);
    case Unary::cos: return std::cos(v);
    case Unary::erf: return std::erf(v);
    case Unary::floor: return std::floor(v);
    case Unary::ceil: return std::ceil(v);
    case Unary::round: return std::nearbyint(v);
    case Unary::pow: return std::pow(v, a);
    case Unary::clamp: return clamped(v, a, b);
    case Unary::logical_not: return v == 0 ? R(1) : R(0);
    case Unary::relu: return v <= 0 ? R(0) : v;
    case Unary::relu6: return clamped(v, R(0), R(6));
    case Unary::leaky_relu: return v > 0 ? v : a * v;
    case Unary::elu: return v > 0 ? v : a * std::expm1(v);
    case Unary::celu: return v > 0 ? v : a * std::expm1(v / a);
    case Unary::selu: return kSeluScale<R> * (v > 0 ? v : kSeluAlpha<R> * std::expm1(v));
    case Unary::sigmoid: return sigmoid(v);
    case Unary::tanh: return std::tanh(v);
    case Unary::silu: return v * sigmoid(v);
    case Unary::mish: return v * std::tanh(softplus(v));
    case Unary::softplus: return softplus(v);
    case Unary::gelu: return v * normal_cdf(v);
    case Unary::gelu_tanh: return R(0.5) * v * (1 + std::tanh(gelu_tanh_argument(v)));
    case Unary::quick_gelu: return v * sigmoid(R(1.702) * v);
    case Unary::hard_sigmoid: return clamped(v + 3, R(0), R(6)) / 6;
    case Unary::hard_swish: return v * clamped(v + 3, R(0), R(6)) / 6;
    case Unary::hard_mish: return R(0.5) * v * clamped(v + 2, R(0), R(2));
    case Unary::expm1: return std::expm1(v);
    case Unary::log_sigmoid: return -softplus(-v);
  }
  return v;
}

/// fn'(x); PyTorch decides at the kinks.
template <class R>
FOVEA_DEVICE R slope(Unary fn, R a, R b, R v) {
  switch (fn) {
    case Unary::identity: return 1;
    case Unary::affine: return a;
    case Unary::neg: return -1;
    case Unary::abs: return static_cast<R>((v > 0) - (v < 0));
    case Unary::square: return 2 * v;
    case Unary::sqrt: return R(0.5) / std::sqrt(v);
    case Unary::rsqrt: return R(-0.5) / (v * std::sqrt(v));
    case Unary::reciprocal: return -1 / (v * v);
    case Unary::exp: case Unary::expm1: return std::exp(v);
    case Unary::log: return 1 / v;
    case Unary::log1p: return 1 / (1 + v);
    case Unary::sin: return std::cos(v);
    case Unary::cos: return -std::sin(v);
    case Unary::erf: return R(1.12837916709551257390) * std::exp(-v * v);
    case Unary::pow: return a == 0 ? R(0) : a * std::pow(v, a - 1);
    case Unary::clamp: return v > a && v < b ? R(1) : R(0);
    case Unary::relu: return v > 0 ? R(1) : R(0);
    case Unary::relu6: return v > 0 && v < 6 ? R(1) : R(0);
    case Unary::leaky_relu: return v > 0 ? R(1) : a;
    case Unary::elu: return v > 0 ? R(1) : a * std::exp(v);
    case Unary::celu: return v > 0 ? R(1) : std::exp(v / a);
    case Unary::selu: return kSeluScale<R> * (v > 0 ? R(1) : kSeluAlpha<R> * std::exp(v));
    case Unary::sigmoid: return sigmoid(v) * sigmoid(-v);
    case Unary::tanh: return 1 - std::tanh(v) * std::tanh(v);
    case Unary::silu: return swish_slope(v, R(1));
    case Unary::mish: return mish_slope(v);
    case Unary::softplus: return sigmoid(v);
    case Unary::gelu: return normal_cdf(v) + v * normal_pdf(v);
    case Unary::gelu_tanh: return gelu_tanh_slope(v);
    case Unary::quick_gelu: return swish_slope(v, R(1.702));
    case Unary::hard_sigmoid: return v > -3 && v < 3 ? R(1) / 6 : R(0);
    case Unary::hard_swish: return v <= -3 ? R(0) : v < 3 ? v / 3 + R(0.5) : R(1);
    case Unary::hard_mish: return v < -2 ? R(0) : v <= 0 ? v + 1 : R(1);
    case Unary::log_sigmoid: return sigmoid(-v);
    case Unary::sign: case Unary::floor: case Unary::ceil: case Unary::round: case Unary::logical_not:
    case Unary::count_: break;
  }
  return 0;
}

// Integers wrap around, as unsigned ones do.
FOVEA_DEVICE int64_t wrapped(uint64_t v) { return static_cast<int64_t>(v); }
FOVEA_DEVICE uint64_t bits_of(int64_t v) { return static_cast<uint64_t>(v); }

/// fn(x) for integers and bool. What has no integer form goes by way of double, and the fraction is dropped.
FOVEA_DEVICE int64_t apply(Unary fn, double a, double b, int64_t v) {
  const auto is_integer = [](double r) { return r == std::trunc(r) && std::abs(r) < 0x1p63; };
  switch (fn) {
    case Unary::identity: case Unary::floor: case Unary::ceil: case Unary::round: return v;
    case Unary::affine:
      if (!is_integer(a) || !is_integer(b)) break;
      return wrapped(bits_of(v) * bits_of(static_cast<int64_t>(a)) + bits_of(static_cast<int64_t>(b)));
    case Unary::neg: return wrapped(0 - bits_of(v));
    case Unary::abs: return v < 0 ? wrapped(0 - bits_of(v)) : v;
    case Unary::sign: return (v > 0) - (v < 0);
    case Unary::square: return wrapped(bits_of(v) * bits_of(v));
    case Unary::clamp:
      if (static_cast<double>(v) > b) return truncated(b);
      return static_cast<double>(v) < a ? truncated(a) : v;
    case Unary::relu: return v > 0 ? v : 0;
    case Unary::logical_not: return v == 0;
    default: break;
  }
  return truncated(apply(fn, a, b, static_cast<double>(v)));
}

template <class R>
FOVEA_DEVICE R remainder(R a, R b) {                // sign of the divisor
  const R m = std::fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
template <class R>
FOVEA_DEVICE R floor_divided(R a, R b) {
  if (b == 0) return a / b;
  const R m = std::fmod(a, b);
  R q = (a - m) / b;
  if (m != 0 && (m < 0) != (b < 0)) q -= 1;
  return q == 0 ? std::copysign(R(0), a / b) : std::nearbyint(q);      // a - m is a multiple of b but for rounding
}

/// fn(a, b) for float and double.
template <class R>
FOVEA_DEVICE R combine(Binary fn, R a, R b) {
  switch (fn) {
    case Binary::add: return a + b;
    case Binary::sub: return a - b;
    case Binary::mul: return a * b;
    case Binary::div: return a / b;
    case Binary::pow: return std::pow(a, b);
    case Binary::maximum: return a > b || a != a ? a : b;
    case Binary::minimum: return a < b || a != a ? a : b;
    case Binary::remainder: return remainder(a, b);
    case Binary::floor_divide: return floor_divided(a, b);
    case Binary::eq: return static_cast<R>(a == b);
    case Binary::ne: return static_cast<R>(a != b);
    case Binary::lt: return static_cast<R>(a < b);
    case Binary::le: return static_cast<R>(a <= b);
    case Binary::gt: return static_cast<R>(a > b);
    case Binary::ge: return static_cast<R>(a >= b);
    case Binary::logical_and: return static_cast<R>(a != 0 && b != 0);
    case Binary::logical_or: return static_cast<R>(a != 0 || b != 0);
    case Binary::count_: break;
  }
  return a;
}

FOVEA_DEVICE int64_t integer_power(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  int64_t out = 1;
  for (; b > 0; b /= 2, a = wrapped(bits_of(a) * bits_of(a)))
    if (b % 2) out = wrapped(bits_of(out) * bits_of(a));
  return out;
}

/// fn(a, b) for integers and bool; `failed` is set where an integer is divided by zero.
FOVEA_DEVICE int64_t combine(Binary fn, int64_t a, int64_t b, bool& failed) {
  const bool divides = fn == Binary::div || fn == Binary::remainder || fn == Binary::floor_divide;
  if (divides && b == 0) {
    failed = true;
    return 0;
  }
  switch (fn) {
    case Binary::add: return wrapped(bits_of(a) + bits_of(b));
    case Binary::sub: return wrapped(bits_of(a) - bits_of(b));
    case Binary::mul: return wrapped(bits_of(a) * bits_of(b));
    case Binary::div: return b == -1 ? wrapped(0 - bits_of(a)) : a / b;          // the smallest has no positive twin
    case Binary::pow: return integer_power(a, b);
    case Binary::maximum: return a > b ? a : b;
    case Binary::minimum: return a < b ? a : b;
    case Binary::remainder: {
      const int64_t m = b == -1 ? 0 : a % b;
      return m != 0 && (m < 0) != (b < 0) ? m + b : m;
    }
    case Binary::floor_divide: {
      const int64_t q = b == -1 ? wrapped(0 - bits_of(a)) : a / b;
      return b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
    }
    case Binary::eq: return a == b;
    case Binary::ne: return a != b;
    case Binary::lt: return a < b;
    case Binary::le: return a <= b;
    case Binary::gt: return a > b;
    case Binary::ge: return a >= b;
    case Binary::logical_and: return a != 0 && b != 0;
    case Binary::logical_or: return a != 0 || b != 0;
    case Binary::count_: break;
  }
  return a;
}

}  // namespace fovea::cuda
