// SPDX-License-Identifier: Apache-2.0
#include "train/optim/number.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/ops/ops.h"

namespace fovea::train {

struct Number::Made {
  std::vector<Tensor> as;                                 // the value itself, then what it was cast to
};

Number::Number(const Tensor& t) : made_(std::make_shared<Made>()) { made_->as.push_back(cast(t, DType::f64)); }

Tensor Number::as(const Tensor& like) const {
  if (!made_) return scalar(constant_, like);
  for (const Tensor& t : made_->as)
    if (t.dtype() == like.dtype()) return t;
  made_->as.push_back(cast(made_->as[0], like.dtype()));
  return made_->as.back();
}

namespace {

template <class Now>
Number combine(const Number& a, const Number& b, Binary fn, Now now) {
  if (a.is_constant() && b.is_constant()) return now(a.constant(), b.constant());
  const auto value = [](const Number& n, const Number& other) {
    static const Tensor f64 = scalar(0, DType::f64);
    return n.is_constant() ? scalar(n.constant(), other.as(f64)) : n.as(f64);
  };
  return Number(binary(value(a, b), value(b, a), fn));
}

Tensor with(const Tensor& x, const Number& n, Binary fn) { return binary(x, n.as(x), fn); }

}  // namespace

Number operator+(const Number& a, const Number& b) {
  return combine(a, b, Binary::add, [](double x, double y) { return x + y; });
}
Number operator-(const Number& a, const Number& b) {
  return combine(a, b, Binary::sub, [](double x, double y) { return x - y; });
}
Number operator*(const Number& a, const Number& b) {
  return combine(a, b, Binary::mul, [](double x, double y) { return x * y; });
}
Number operator/(const Number& a, const Number& b) {
  return combine(a, b, Binary::div, [](double x, double y) { return x / y; });
}
Number pow(const Number& a, const Number& b) {
  return combine(a, b, Binary::pow, [](double x, double y) { return std::pow(x, y); });
}
Number maximum(const Number& a, const Number& b) {
  return combine(a, b, Binary::maximum, [](double x, double y) { return std::max(x, y); });
}
Number minimum(const Number& a, const Number& b) {
  return combine(a, b, Binary::minimum, [](double x, double y) { return std::min(x, y); });
}
Number remainder(const Number& a, const Number& b) {
  return combine(a, b, Binary::remainder, [](double x, double y) { return x - y * std::floor(x / y); });
}
Number sqrt(const Number& a) {
  return a.is_constant() ? Number(std::sqrt(a.constant())) : Number(sqrt(a.as(scalar(0, DType::f64))));
}
Number where_greater(const Number& a, const Number& b, const Number& then, const Number& otherwise) {
  if (a.is_constant() && b.is_constant()) return a.constant() > b.constant() ? then : otherwise;
  const Tensor one = (a.is_constant() ? b : a).as(scalar(0, DType::f64));
  return Number(where(greater(a.as(one), b.as(one)), then.as(one), otherwise.as(one)));
}

Tensor operator*(const Tensor& x, const Number& n) {
  return n.is_constant() ? x * n.constant() : with(x, n, Binary::mul);
}
Tensor operator/(const Tensor& x, const Number& n) {
  return n.is_constant() ? x / n.constant() : with(x, n, Binary::div);
}
Tensor operator+(const Tensor& x, const Number& n) {
  return n.is_constant() ? x + n.constant() : with(x, n, Binary::add);
}
Tensor operator-(const Tensor& x, const Number& n) {
  return n.is_constant() ? x - n.constant() : with(x, n, Binary::sub);
}
Tensor lerp(const Tensor& x, const Tensor& y, const Number& weight) { return x + (y - x) * weight; }

}  // namespace fovea::train
