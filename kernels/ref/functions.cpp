// SPDX-License-Identifier: Apache-2.0
// kernels/ref/functions.cpp — what each Unary computes, and its slope; PyTorch decides at the kinks.
#include "kernels/ref/functions.h"

#include <cmath>
#include <numbers>

namespace fovea::ref {
namespace {

constexpr double kSeluScale = 1.0507009873554804934193349852946, kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kGeluTanh = 0.044715;             // of x^3 in the tanh approximation
constexpr double kQuickGelu = 1.702;

bool is_integer(double v) { return v == std::trunc(v) && std::abs(v) < 0x1p63; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
double clamped(double x, double lo, double hi) {   // NaN stays NaN
  const double above = x < lo ? lo : x;
  return above > hi ? hi : above;
}
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double normal_pdf(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }
double gelu_tanh_argument(double x) { return std::sqrt(2 / std::numbers::pi) * (x + kGeluTanh * x * x * x); }
double gelu_tanh_slope(double x) {
  const double t = std::tanh(gelu_tanh_argument(x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / std::numbers::pi) * (1 + 3 * kGeluTanh * x * x);
}
double mish_slope(double x) {
  const double t = std::tanh(softplus(x));
  return t + x * (1 - t * t) * sigmoid(x);
}
double swish_slope(double x, double beta) {        // of x sigmoid(beta x)
  const double s = sigmoid(beta * x);
  return s + beta * x * s * (1 - s);
}

}  // namespace

void apply(Unary fn, double a, double b, double* x, int64_t size) {
  const auto each = [&](auto f) {
    for (int64_t i = 0; i < size; ++i) x[i] = f(x[i]);
  };
  switch (fn) {
    case Unary::identity: return;
    case Unary::affine: return each([=](double v) { return a * v + b; });
    case Unary::neg: return each([](double v) { return -v; });
    case Unary::abs: return each([](double v) { return std::abs(v); });
    case Unary::sign: return each([](double v) { return static_cast<double>((v > 0) - (v < 0)); });
    case Unary::square: return each([](double v) { return v * v; });
    case Unary::sqrt: return each([](double v) { return std::sqrt(v); });
    case Unary::rsqrt: return each([](double v) { return 1 / std::sqrt(v); });
    case Unary::reciprocal: return each([](double v) { return 1 / v; });
    case Unary::exp: return each([](double v) { return std::exp(v); });
    case Unary::log: return each([](double v) { return std::log(v); });
    case Unary::log1p: return each([](double v) { return std::log1p(v); });
    case Unary::sin: return each([](double v) { return std::sin(v); });
    case Unary::cos: return each([](double v) { return std::cos(v); });
    case Unary::erf: return each([](double v) { return std::erf(v); });
    case Unary::floor: return each([](double v) { return std::floor(v); });
    case Unary::ceil: return each([](double v) { return std::ceil(v); });
    case Unary::round: return each([](double v) { return std::nearbyint(v); });
    case Unary::pow: return each([=](double v) { return std::pow(v, a); });
    case Unary::clamp: return each([=](double v) { return clamped(v, a, b); });
    case Unary::logical_not: return each([](double v) { return v == 0 ? 1.0 : 0.0; });
    case Unary::relu: return each([](double v) { return v <= 0 ? 0 : v; });
    case Unary::relu6: return each([](double v) { return clamped(v, 0, 6); });
    case Unary::leaky_relu: return each([=](double v) { return v > 0 ? v : a * v; });
    case Unary::elu: return each([=](double v) { return v > 0 ? v : a * std::expm1(v); });
    case Unary::celu: return each([=](double v) { return v > 0 ? v : a * std::expm1(v / a); });
    case Unary::selu: return each([](double v) { return kSeluScale * (v > 0 ? v : kSeluAlpha * std::expm1(v)); });
    case Unary::sigmoid: return each([](double v) { return sigmoid(v); });
    case Unary::tanh: return each([](double v) { return std::tanh(v); });
    case Unary::silu: return each([](double v) { return v * sigmoid(v); });
    case Unary::mish: return each([](double v) { return v * std::tanh(softplus(v)); });
    case Unary::softplus: return each([](double v) { return softplus(v); });
    case Unary::gelu: return each([](double v) { return v * normal_cdf(v); });
    case Unary::gelu_tanh: return each([](double v) { return 0.5 * v * (1 + std::tanh(gelu_tanh_argument(v))); });
    case Unary::quick_gelu: return each([](double v) { return v * sigmoid(kQuickGelu * v); });
    case Unary::hard_sigmoid: return each([](double v) { return clamped(v + 3, 0, 6) / 6; });
    case Unary::hard_swish: return each([](double v) { return v * clamped(v + 3, 0, 6) / 6; });
    case Unary::hard_mish: return each([](double v) { return 0.5 * v * clamped(v + 2, 0, 2); });
    case Unary::expm1: return each([](double v) { return std::expm1(v); });
    case Unary::log_sigmoid: return each([](double v) { return -softplus(-v); });
    case Unary::count_: return;
  }
}

void multiply_slope(Unary fn, double a, double b, const double* x, double* g, int64_t size) {
  const auto each = [&](auto slope) {
    for (int64_t i = 0; i < size; ++i) g[i] *= slope(x[i]);
  };
  switch (fn) {
    case Unary::identity: return;
    case Unary::affine: return each([=](double) { return a; });
    case Unary::neg: return each([](double) { return -1.0; });
    case Unary::abs: return each([](double v) { return static_cast<double>((v > 0) - (v < 0)); });
    case Unary::square: return each([](double v) { return 2 * v; });
    case Unary::sqrt: return each([](double v) { return 0.5 / std::sqrt(v); });
    case Unary::rsqrt: return each([](double v) { return -0.5 / (v * std::sqrt(v)); });
    case Unary::reciprocal: return each([](double v) { return -1 / (v * v); });
    case Unary::exp: return each([](double v) { return std::exp(v); });
    case Unary::expm1: return each([](double v) { return std::exp(v); });
    case Unary::log: return each([](double v) { return 1 / v; });
    case Unary::log1p: return each([](double v) { return 1 / (1 + v); });
    case Unary::sin: return each([](double v) { return std::cos(v); });
    case Unary::cos: return each([](double v) { return -std::sin(v); });
    case Unary::erf: return each([](double v) { return 2 * std::numbers::inv_sqrtpi * std::exp(-v * v); });
    case Unary::pow: return each([=](double v) { return a == 0 ? 0 : a * std::pow(v, a - 1); });
    case Unary::clamp: return each([=](double v) { return v > a && v < b ? 1.0 : 0.0; });
    case Unary::relu: return each([](double v) { return v > 0 ? 1.0 : 0.0; });
    case Unary::relu6: return each([](double v) { return v > 0 && v < 6 ? 1.0 : 0.0; });
    case Unary::leaky_relu: return each([=](double v) { return v > 0 ? 1 : a; });
    case Unary::elu: return each([=](double v) { return v > 0 ? 1 : a * std::exp(v); });
    case Unary::celu: return each([=](double v) { return v > 0 ? 1 : std::exp(v / a); });
    case Unary::selu: return each([](double v) { return kSeluScale * (v > 0 ? 1 : kSeluAlpha * std::exp(v)); });
    case Unary::sigmoid: return each([](double v) { return sigmoid(v) * sigmoid(-v); });
    case Unary::tanh: return each([](double v) { return 1 - std::tanh(v) * std::tanh(v); });
    case Unary::silu: return each([](double v) { return swish_slope(v, 1); });
    case Unary::mish: return each([](double v) { return mish_slope(v); });
    case Unary::softplus: return each([](double v) { return sigmoid(v); });
    case Unary::gelu: return each([](double v) { return normal_cdf(v) + v * normal_pdf(v); });
    case Unary::gelu_tanh: return each([](double v) { return gelu_tanh_slope(v); });
    case Unary::quick_gelu: return each([](double v) { return swish_slope(v, kQuickGelu); });
    case Unary::hard_sigmoid: return each([](double v) { return v > -3 && v < 3 ? 1.0 / 6 : 0.0; });
    case Unary::hard_swish: return each([](double v) { return v <= -3 ? 0 : v < 3 ? v / 3 + 0.5 : 1; });
    case Unary::hard_mish: return each([](double v) { return v < -2 ? 0 : v <= 0 ? v + 1 : 1; });
    case Unary::log_sigmoid: return each([](double v) { return sigmoid(-v); });
    case Unary::sign: case Unary::floor: case Unary::ceil: case Unary::round: case Unary::logical_not:
    case Unary::count_:
      return each([](double) { return 0.0; });
  }
}

void apply(Unary fn, double a, double b, int64_t* x, int64_t size) {
  const auto each = [&](auto f) {
    for (int64_t i = 0; i < size; ++i) x[i] = f(x[i]);
  };
  const auto wrap = [](int64_t v, uint64_t times) { return static_cast<int64_t>(static_cast<uint64_t>(v) * times); };
  const auto by_double = [&] {                     // the fraction is dropped, as a C++ conversion does
    each([&](int64_t v) {
      double real = static_cast<double>(v);
      apply(fn, a, b, &real, 1);
      return real >= -0x1p63 && real < 0x1p63 ? static_cast<int64_t>(real) : INT64_MIN;
    });
  };
  switch (fn) {
    case Unary::identity: case Unary::floor: case Unary::ceil: case Unary::round: return;
    case Unary::affine:
      if (!is_integer(a) || !is_integer(b)) return by_double();
      return each([=](int64_t v) {
        return static_cast<int64_t>(static_cast<uint64_t>(v) * static_cast<uint64_t>(static_cast<int64_t>(a)) +
                                    static_cast<uint64_t>(static_cast<int64_t>(b)));
      });
    case Unary::neg: return each([=](int64_t v) { return wrap(v, static_cast<uint64_t>(-1)); });
    case Unary::abs: return each([=](int64_t v) { return v < 0 ? wrap(v, static_cast<uint64_t>(-1)) : v; });
    case Unary::sign: return each([](int64_t v) { return static_cast<int64_t>((v > 0) - (v < 0)); });
    case Unary::square: return each([=](int64_t v) { return wrap(v, static_cast<uint64_t>(v)); });
    case Unary::clamp:
      return each([=](int64_t v) {
        const double real = static_cast<double>(v);
        return real > b ? static_cast<int64_t>(b) : real < a ? static_cast<int64_t>(a) : v;
      });
    case Unary::relu: return each([](int64_t v) { return v > 0 ? v : 0; });
    case Unary::logical_not: return each([](int64_t v) { return static_cast<int64_t>(v == 0); });
    default: return by_double();
  }
}

}  // namespace fovea::ref
