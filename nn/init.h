// SPDX-License-Identifier: Apache-2.0
// nn/init.h — Init: how a parameter gets its first values, as data; drawn with Philox keys, so the same everywhere.
#pragma once
#include <cstdint>
#include <memory>

#include "engine/core/tensor.h"

namespace fovea {

struct Init {
  enum class Kind : uint8_t { constant, uniform, normal, truncated_normal };
  Kind kind = Kind::constant;
  double a = 0, b = 0;                             // constant: a. uniform: [a, b). normal: mean a, standard deviation b
  double lo = 0, hi = 0;                           // truncated_normal: drawn values lie in [lo, hi]
  friend bool operator==(const Init&, const Init&) = default;
};

/// First values that an Init cannot describe.
struct Drawing {
  virtual ~Drawing() = default;
  virtual Tensor draw(const Shape& shape, DType dtype, uint64_t key) const = 0;
};

namespace init {

constexpr Init constant(double v) { return {.kind = Init::Kind::constant, .a = v}; }
constexpr Init zeros() { return constant(0); }
constexpr Init ones() { return constant(1); }
constexpr Init uniform(double lo, double hi) { return {.kind = Init::Kind::uniform, .a = lo, .b = hi}; }
constexpr Init normal(double std, double mean = 0) { return {.kind = Init::Kind::normal, .a = mean, .b = std}; }
/// timm's trunc_normal_: the bounds are absolute.
constexpr Init trunc_normal(double std, double mean = 0, double lo = -2, double hi = 2) {
  return {.kind = Init::Kind::truncated_normal, .a = mean, .b = std, .lo = lo, .hi = hi};
}
/// timm's trunc_normal_tf_: the bounds are in standard deviations.
constexpr Init trunc_normal_tf(double std, double mean = 0, double lo = -2, double hi = 2) {
  return trunc_normal(std, mean, mean + lo * std, mean + hi * std);
}

/// How many inputs and outputs one element of a weight [out, in, kernel...] connects.
struct Fans {
  double in = 1, out = 1;
};
Fans fans(const Shape& weight);

/// What PyTorch gives convolutions and linear layers: uniform within 1 / sqrt(fan in).
Init torch_default(double fan_in);
enum class Mode : uint8_t { fan_in, fan_out, average };
/// Variance scale / fan, as JAX and TensorFlow define it.
Init variance_scaling(const Shape& weight, double scale, Mode mode, Init::Kind kind);
Init lecun_normal(const Shape& weight);            // truncated
Init xavier_uniform(const Shape& weight, double gain = 1);
Init kaiming_normal(const Shape& weight, Mode mode = Mode::fan_in);   // for ReLU

/// Rows of the second half start otherwise than those of the first.
std::shared_ptr<const Drawing> halves(const Init& first, const Init& second);

/// A new tensor with these values.
Tensor draw(const Init& how, const Shape& shape, DType dtype, uint64_t key);

}  // namespace init
}  // namespace fovea
