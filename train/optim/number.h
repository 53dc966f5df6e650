// SPDX-License-Identifier: Apache-2.0
// train/optim/number.h — Number: what an update rule calculates with beside tensors; a constant, or a value that each
// step may change.
#pragma once
#include <memory>

#include "engine/core/tensor.h"

namespace fovea::train {

/// A constant is a double, and calculating with constants takes place now. Anything else is an f64[] tensor, an operand
/// or what was calculated of some: in a graph each run has its own.
class Number {
 public:
  Number(double constant) : constant_(constant) {}        // NOLINT: meant to be implicit, 1 - beta
  explicit Number(const Tensor& t);
  bool is_constant() const { return !made_; }
  double constant() const { return constant_; }           // of a constant
  bool is(double v) const { return is_constant() && constant_ == v; }
  /// As a tensor of that dtype, on the device of the operands, or of `like` for a constant.
  Tensor as(const Tensor& like) const;

 private:
  struct Made;
  double constant_ = 0;
  std::shared_ptr<Made> made_;                            // null: a constant
};

Number operator+(const Number& a, const Number& b);
Number operator-(const Number& a, const Number& b);
Number operator*(const Number& a, const Number& b);
Number operator/(const Number& a, const Number& b);
Number pow(const Number& a, const Number& b);
Number sqrt(const Number& a);
Number maximum(const Number& a, const Number& b);
Number minimum(const Number& a, const Number& b);
Number remainder(const Number& a, const Number& b);
Number where_greater(const Number& a, const Number& b, const Number& then, const Number& otherwise);   // a > b ? ...

// A tensor keeps its dtype, whatever the number is.
Tensor operator*(const Tensor& x, const Number& n);
Tensor operator/(const Tensor& x, const Number& n);
Tensor operator+(const Tensor& x, const Number& n);
Tensor operator-(const Tensor& x, const Number& n);
Tensor lerp(const Tensor& x, const Tensor& y, const Number& weight);   // x + weight (y - x)

}  // namespace fovea::train
