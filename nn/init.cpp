// SPDX-License-Identifier: Apache-2.0
// nn/init.cpp — fans, timm's initialisers and drawing them.
#include "nn/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "engine/core/error.h"
#include "engine/core/philox.h"
#include "engine/ops/ops.h"
#include "nn/hash.h"

namespace fovea::init {
namespace {

// The inverse of the error function on (-1, 1): Giles's single-precision polynomial, polished by Newton steps in
// double.
double inverse_erf(double y) {
  double w = -std::log((1 - y) * (1 + y));
  double p;
  if (w < 5) {
    constexpr double c[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                            -0.00125372503, -0.00417768164, 0.246640727,   1.50140941};
    w -= 2.5;
    p = c[0];
    for (size_t i = 1; i < std::size(c); ++i) p = p * w + c[i];
  } else {
    constexpr double c[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                            -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
    w = std::sqrt(w) - 3;
    p = c[0];
    for (size_t i = 1; i < std::size(c); ++i) p = p * w + c[i];
  }
  double x = p * y;
  for (int i = 0; i < 2; ++i) x -= (std::erf(x) - y) / (2 / std::sqrt(std::numbers::pi) * std::exp(-x * x));
  return x;
}

double normal_cdf(double x) { return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)); }

double value(const Init& how, double uniform, double normal) {
  switch (how.kind) {
    case Init::Kind::constant: return how.a;
    case Init::Kind::uniform: return how.a + (how.b - how.a) * uniform;
    case Init::Kind::normal: return how.a + how.b * normal;
    case Init::Kind::truncated_normal: break;
  }
  const double lo = normal_cdf((how.lo - how.a) / how.b), hi = normal_cdf((how.hi - how.a) / how.b);
  const double at = std::clamp(2 * (lo + (hi - lo) * uniform) - 1, -1 + 1e-15, 1 - 1e-15);
  return std::clamp(how.a + how.b * std::numbers::sqrt2 * inverse_erf(at), how.lo, how.hi);
}

std::vector<double> drawn(const Init& how, size_t n, uint64_t key) {
  std::vector<double> v(n);
  if (how.kind == Init::Kind::constant) {
    std::fill(v.begin(), v.end(), how.a);
    return v;
  }
  const bool normal = how.kind == Init::Kind::normal;
  for (size_t i = 0; i < n; i += 4) {
    std::array<double, 4> z{};
    std::array<float, 4> u{};
    if (normal) z = normal4(key, i / 4);
    else u = uniform4(key, i / 4);
    for (size_t j = 0; j < 4 && i + j < n; ++j) v[i + j] = value(how, static_cast<double>(u[j]), z[j]);
  }
  return v;
}

template <class T, class F>
Tensor converted(const std::vector<double>& v, const Shape& shape, F convert) {
  std::vector<T> out(v.size());
  for (size_t i = 0; i < v.size(); ++i) out[i] = convert(v[i]);
  return from(std::span<const T>(out), shape);
}

}  // namespace

Fans fans(const Shape& w) {
  if (w.size() < 2) return {.in = static_cast<double>(numel(w)), .out = static_cast<double>(numel(w))};
  double field = 1;
  for (int i = 2; i < w.size(); ++i) field *= static_cast<double>(w[i]);
  return {.in = static_cast<double>(w[1]) * field, .out = static_cast<double>(w[0]) * field};
}

Init torch_default(double fan_in) {
  const double bound = 1 / std::sqrt(fan_in);
  return uniform(-bound, bound);
}

Init variance_scaling(const Shape& weight, double scale, Mode mode, Init::Kind kind) {
  const Fans f = fans(weight);
  const double fan = mode == Mode::fan_in ? f.in : mode == Mode::fan_out ? f.out : (f.in + f.out) / 2;
  const double variance = scale / fan;
  switch (kind) {
    case Init::Kind::uniform: return uniform(-std::sqrt(3 * variance), std::sqrt(3 * variance));
    // deviation left by cutting at 2
    case Init::Kind::truncated_normal: return trunc_normal_tf(std::sqrt(variance) / .87962566103423978);
    case Init::Kind::normal: return normal(std::sqrt(variance));
    case Init::Kind::constant: break;
  }
  throw Error(Error::Kind::argument, "variance scaling wants a distribution, not a constant");
}

Init lecun_normal(const Shape& weight) {
  return variance_scaling(weight, 1, Mode::fan_in, Init::Kind::truncated_normal);
}

Init xavier_uniform(const Shape& weight, double gain) {
  return variance_scaling(weight, gain * gain, Mode::average, Init::Kind::uniform);
}

Init kaiming_normal(const Shape& weight, Mode mode) { return variance_scaling(weight, 2, mode, Init::Kind::normal); }

std::shared_ptr<const Drawing> halves(const Init& first, const Init& second) {
  struct Halves final : Drawing {
    Init first, second;
    Tensor draw(const Shape& shape, DType dtype, uint64_t key) const override {
      Shape upper = shape, lower = shape;
      upper[0] = shape[0] / 2;
      lower[0] = shape[0] - upper[0];
      return cat({init::draw(first, upper, dtype, key), init::draw(second, lower, dtype, hash_number(key))}, 0);
    }
  };
  auto both = std::make_shared<Halves>();
  both->first = first;
  both->second = second;
  return both;
}

Tensor draw(const Init& how, const Shape& shape, DType dtype, uint64_t key) {
  const std::vector<double> v = drawn(how, static_cast<size_t>(numel(shape)), key);
  switch (dtype) {
    case DType::f32: return converted<float>(v, shape, [](double x) { return static_cast<float>(x); });
    case DType::f64: return converted<double>(v, shape, [](double x) { return x; });
    case DType::bf16: return converted<bfloat16>(v, shape, [](double x) { return to_bfloat16(static_cast<float>(x)); });
    case DType::f16: return converted<float16>(v, shape, [](double x) { return to_float16(static_cast<float>(x)); });
    case DType::i64: return converted<int64_t>(v, shape, [](double x) { return static_cast<int64_t>(x); });
    case DType::i32: return converted<int32_t>(v, shape, [](double x) { return static_cast<int32_t>(x); });
    default: throw Error(Error::Kind::unsupported, str_cat("no first values of dtype ", name_of(dtype)));
  }
}

}  // namespace fovea::init
