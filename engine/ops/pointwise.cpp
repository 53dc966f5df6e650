// SPDX-License-Identifier: Apache-2.0
// engine/ops/pointwise.cpp — cast, functions of one operand, of two that broadcast, and where.
#include <array>
#include <cmath>
#include <limits>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Binary::count_)> kBinaryNames{
    "add", "sub", "mul", "div", "pow", "maximum", "minimum",     "remainder", "floor_divide",
    "eq",  "ne",  "lt",  "le",  "gt",  "ge",      "logical_and", "logical_or"};

bool takes_integers(Unary fn) {
  switch (fn) {
    case Unary::identity:
    case Unary::affine:
    case Unary::neg:
    case Unary::abs:
    case Unary::sign:
    case Unary::square:
    case Unary::clamp:
    case Unary::relu:
    case Unary::relu6:
    case Unary::logical_not:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round: return true;
    default: return false;
  }
}
bool gives_bool(Binary fn) { return fn >= Binary::eq; }

int promotion_rank(DType t) {
  switch (t) {
    case DType::boolean: return 0;
    case DType::u8: return 1;
    case DType::i8: return 2;
    case DType::i32: return 3;
    case DType::i64: return 4;
    case DType::f16:
    case DType::bf16: return 5;
    case DType::f32: return 6;
    default: return 7;
  }
}
DType promoted(DType a, DType b) {
  if (a == b) return a;
  if (promotion_rank(a) == promotion_rank(b)) return DType::f32;  // f16 with bf16
  return promotion_rank(a) > promotion_rank(b) ? a : b;
}

// A transposed matrix looks like channels-last of rank 3, so there the first operand of full shape decides; an image
// that lies channels-last decides for all.
Memory memory_of_result(const Site& s, const Shape& full) {
  for (const Meta& m : s.in) {
    if (!m.present() || m.shape != full) continue;
    if (m.rank() <= 3 || m.memory() == Memory::channels_last) return m.memory();
  }
  return Memory::contiguous;
}
Metas broadcast_result(const Site& s, DType t, const Shape& full) {
  return {make_meta(t, full, memory_of_result(s, full), s.operand(0).device)};
}

bool holds(const Site& s, int i, DType t) { return s.operand(i).dtype == t; }

Metas infer_cast(const Site& s) {
  Meta m = dense_like(s.operand(0), s.operand(0).shape);
  m.dtype = s.attrs<CastAttrs>().to;
  if (!m.present()) s.fail("a tensor cannot be cast to none");
  return {m};
}
Tensors vjp_cast(const Backward& b) { return {cast(b.grad(), b.in_meta(0).dtype)}; }

Metas infer_unary(const Site& s) {
  const Unary fn = s.attrs<UnaryAttrs>().fn;
  const DType t = s.operand(0).dtype;
  if (t == DType::boolean && fn != Unary::logical_not && fn != Unary::identity)
    s.fail(str_cat(name_of(fn), " of a bool"));
  if (!is_floating(t) && !takes_integers(fn))
    s.fail(str_cat(name_of(fn), " needs a floating operand, not ", name_of(t)));
  Metas out = same_as(s.operand(0));
  if (fn == Unary::logical_not) out[0].dtype = DType::boolean;
  return out;
}
Tensors vjp_unary(const Backward& b) {
  const auto& f = b.attrs<UnaryAttrs>();
  switch (f.fn) {
    case Unary::identity: return {b.grad()};
    case Unary::affine: return {b.grad() * static_cast<double>(f.a)};
    case Unary::neg: return {-b.grad()};
    case Unary::sign:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
    case Unary::logical_not: return {Tensor()};
    default: return {unary_dx(b.grad(), b.in(0), f.fn, f.a, f.b)};
  }
}

Saves saves_unary(AttrsRef attrs) {
  switch (attrs.as<UnaryAttrs>().fn) {
    case Unary::identity:
    case Unary::affine:
    case Unary::neg:
    case Unary::sign:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
    case Unary::logical_not: return {};
    default: return {.inputs = 0b1};
  }
}

Metas infer_unary_dx(const Site& s) {
  s.want_floating(0);
  s.want_same_dtype();
  if (s.operand(0).shape != s.operand(1).shape) s.fail("gy and x differ in shape");
  return same_as(s.operand(1));
}
Tensors vjp_unary_dx(const Backward& b) {
  const auto& f = b.attrs<UnaryAttrs>();
  Tensor g_gy, g_x;
  if (b.needs(0)) g_gy = unary_dx(b.grad(), b.in(1), f.fn, f.a, f.b);
  if (b.needs(1))
    if (const Tensor second = unary_second(b.in(1), f.fn, f.a)) g_x = b.grad() * b.in(0) * second;
  return {g_gy, g_x};
}

// The gradients of a binary op before what was broadcast is summed up.
std::pair<Tensor, Tensor> binary_gradients(const Backward& b, Binary fn) {
  const Tensor g = b.grad();
  const bool need_a = b.needs(0), need_b = b.needs(1);
  Tensor ga, gb;
  switch (fn) {
    case Binary::add: return {g, g};
    case Binary::sub:
      if (need_b) gb = -g;
      return {g, gb};
    case Binary::mul:
      if (need_a) ga = g * b.in(1);
      if (need_b) gb = g * b.in(0);
      return {ga, gb};
    case Binary::div:
      ga = g / b.in(1);
      if (need_b) gb = -(ga * (b.in(0) / b.in(1)));
      return {ga, gb};
    case Binary::pow: {
      const Tensor x = b.in(0), e = b.in(1);
      if (need_a) ga = g * where(equal(e, 0.0), scalar(0, e), e * pow(x, e - 1.0));
      if (need_b) gb = g * pow(x, e) * log(where(greater(x, 0.0), x, scalar(1, x)));
      return {ga, gb};
    }
    case Binary::maximum:
    case Binary::minimum: {  // equal operands share the gradient, as in PyTorch
      const Tensor x = b.in(0), y = b.in(1), half = g * 0.5, none = scalar(0, g), tie = equal(x, y);
      const Tensor first = fn == Binary::maximum ? greater(x, y) : less(x, y);
      if (need_a) ga = where(tie, half, where(first, g, none));
      if (need_b) gb = where(tie, half, where(first, none, g));
      return {ga, gb};
    }
    case Binary::remainder:
      if (need_b) gb = -(g * floor(b.in(0) / b.in(1)));
      return {g, gb};
    default: return {};
  }
}

Metas infer_binary(const Site& s) {
  const Binary fn = s.attrs<BinaryAttrs>().fn;
  s.want_same_dtype();
  const DType t = s.operand(0).dtype;
  const bool logical = fn == Binary::logical_and || fn == Binary::logical_or;
  if (logical && t != DType::boolean) s.fail(str_cat(name_of(fn), " needs bool operands, not ", name_of(t)));
  if (t == DType::boolean && !gives_bool(fn) && fn != Binary::maximum && fn != Binary::minimum)
    s.fail(str_cat(name_of(fn), " of bools"));
  if (fn == Binary::div && !is_floating(t))
    s.fail(str_cat("div of ", name_of(t), "; cast() first, or use floor_divide"));
  return broadcast_result(s, gives_bool(fn) ? DType::boolean : t, broadcast(s, s.operand(0).shape, s.operand(1).shape));
}
Tensors vjp_binary(const Backward& b) {
  auto [ga, gb] = binary_gradients(b, b.attrs<BinaryAttrs>().fn);
  if (ga) ga = b.needs(0) ? sum_to(ga, b.in_meta(0).shape) : Tensor();
  if (gb) gb = b.needs(1) ? sum_to(gb, b.in_meta(1).shape) : Tensor();
  return {ga, gb};
}

Saves saves_binary(AttrsRef attrs) {
  const Binary fn = attrs.as<BinaryAttrs>().fn;
  const bool constant_slope = fn == Binary::add || fn == Binary::sub || gives_bool(fn);
  return {.inputs = constant_slope ? 0u : 0b11u};
}

Metas infer_where(const Site& s) {
  if (!holds(s, 0, DType::boolean)) s.fail(str_cat("the condition must be bool, not ", name_of(s.operand(0).dtype)));
  if (s.operand(1).dtype != s.operand(2).dtype)
    s.fail(str_cat("a is ", name_of(s.operand(1).dtype), ", but b is ", name_of(s.operand(2).dtype)));
  const Shape full = broadcast(s, s.operand(0).shape, broadcast(s, s.operand(1).shape, s.operand(2).shape));
  return broadcast_result(s, s.operand(1).dtype, full);
}
Tensors vjp_where(const Backward& b) {
  const Tensor g = b.grad(), c = b.in(0), none = scalar(0, g);
  Tensor ga, gb;
  if (b.needs(1)) ga = sum_to(where(c, g, none), b.in_meta(1).shape);
  if (b.needs(2)) gb = sum_to(where(c, none, g), b.in_meta(2).shape);
  return {Tensor(), ga, gb};
}

}  // namespace

namespace ops {
constinit const OpDef cast{.signature = "cast(x) -> y",
                           .infer = infer_cast,
                           .vjp = vjp_cast,
                           .traits = {.pointwise = true},
                           .role = Role::pointwise};
constinit const OpDef unary{.signature = "unary(x) -> y",
                            .infer = infer_unary,
                            .vjp = vjp_unary,
                            .traits = {.pointwise = true},
                            .saves_for = saves_unary,
                            .role = Role::pointwise};
constinit const OpDef unary_dx{.signature = "unary_dx(gy, x) -> gx",
                               .infer = infer_unary_dx,
                               .vjp = vjp_unary_dx,
                               .saves = {.inputs = 0b11},
                               .traits = {.pointwise = true},
                               .role = Role::pointwise};
constinit const OpDef binary{.signature = "binary(a, b) -> y",
                             .infer = infer_binary,
                             .vjp = vjp_binary,
                             .traits = {.pointwise = true},
                             .saves_for = saves_binary,
                             .role = Role::pointwise};
constinit const OpDef where{.signature = "where(condition, a, b) -> y",
                            .infer = infer_where,
                            .vjp = vjp_where,
                            .saves = {.inputs = 0b1},
                            .traits = {.pointwise = true},
                            .role = Role::pointwise};
}  // namespace ops

std::string_view name_of(Binary b) { return kBinaryNames[static_cast<size_t>(b)]; }

Tensor cast(const Tensor& x, DType to) { return x.dtype() == to ? x : call1(ops::cast, {x}, CastAttrs{to}); }
Tensor unary(const Tensor& x, Unary fn, float a, float b) { return call1(ops::unary, {x}, UnaryAttrs{fn, a, b}); }
Tensor unary_dx(const Tensor& gy, const Tensor& x, Unary fn, float a, float b) {
  return call1(ops::unary_dx, {gy, x}, UnaryAttrs{fn, a, b});
}
Tensor binary(const Tensor& a, const Tensor& b, Binary fn) {
  const bool logical = fn == Binary::logical_and || fn == Binary::logical_or;
  const DType t = logical ? DType::boolean : promoted(a.dtype(), b.dtype());
  return call1(ops::binary, {cast(a, t), cast(b, t)}, BinaryAttrs{fn});
}
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const DType t = promoted(a.dtype(), b.dtype());
  return call1(ops::where, {condition, cast(a, t), cast(b, t)}, AttrsRef{});
}

namespace {

void want_fitting_number(const Tensor& x, double v) {
  if (is_floating(x.dtype()) || v == std::trunc(v)) return;
  throw Error(Error::Kind::argument,
              str_cat(name_of(x.dtype()), x.shape(), " with the number ", v, ", which is no integer"),
              "cast() it to a floating type first");
}
// Attributes are floats; a number that is not exactly one goes with f64 as a tensor.
bool fits_attribute(const Tensor& x, double v) {
  return x.dtype() != DType::f64 || std::isnan(v) || static_cast<double>(static_cast<float>(v)) == v;
}
Tensor with_number(const Tensor& x, double v, Binary fn) {
  want_fitting_number(x, v);
  return binary(x, scalar(v, x), fn);
}

}  // namespace

Tensor affine(const Tensor& x, double a, double b) {
  want_fitting_number(x, a);
  want_fitting_number(x, b);
  if (a == 1 && b == 0) return x;
  if (fits_attribute(x, a) && fits_attribute(x, b))
    return unary(x, Unary::affine, static_cast<float>(a), static_cast<float>(b));
  Tensor y = x;
  if (a != 1) y = with_number(y, a, Binary::mul);
  if (b != 0) y = with_number(y, b, Binary::add);
  return y;
}

Tensor operator+(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::add); }
Tensor operator-(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::sub); }
Tensor operator*(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::mul); }
Tensor operator/(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::div); }
Tensor operator-(const Tensor& x) { return unary(x, Unary::neg); }
Tensor operator+(const Tensor& x, double v) { return affine(x, 1, v); }
Tensor operator-(const Tensor& x, double v) { return affine(x, 1, -v); }
Tensor operator*(const Tensor& x, double v) { return affine(x, v, 0); }
Tensor operator/(const Tensor& x, double v) {
  if (!is_floating(x.dtype()))
    reject(ops::binary, {x}, str_cat("div of ", name_of(x.dtype()), "; cast() first, or use floor_divide"));
  return affine(x, 1 / v, 0);
}
Tensor operator+(double v, const Tensor& x) { return affine(x, 1, v); }
Tensor operator-(double v, const Tensor& x) { return affine(x, -1, v); }
Tensor operator*(double v, const Tensor& x) { return affine(x, v, 0); }
Tensor operator/(double v, const Tensor& x) { return affine(reciprocal(x), v, 0); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::maximum); }
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::minimum); }
Tensor pow(const Tensor& x, double exponent) {
  if (exponent == 1) return x;
  if (exponent == 2) return square(x);
  return fits_attribute(x, exponent) ? unary(x, Unary::pow, static_cast<float>(exponent))
                                     : with_number(x, exponent, Binary::pow);
}
Tensor pow(const Tensor& x, const Tensor& exponent) { return binary(x, exponent, Binary::pow); }
Tensor clamp(const Tensor& x, double lo, double hi) {
  if (fits_attribute(x, lo) && fits_attribute(x, hi))
    return unary(x, Unary::clamp, static_cast<float>(lo), static_cast<float>(hi));
  return with_number(with_number(x, lo, Binary::maximum), hi, Binary::minimum);
}
Tensor clamp_min(const Tensor& x, double lo) { return clamp(x, lo, std::numeric_limits<double>::infinity()); }
Tensor equal(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::eq); }
Tensor less(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::lt); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::le); }
Tensor greater(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::gt); }
Tensor greater_equal(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::ge); }
Tensor equal(const Tensor& x, double v) { return with_number(x, v, Binary::eq); }
Tensor less(const Tensor& x, double v) { return with_number(x, v, Binary::lt); }
Tensor greater(const Tensor& x, double v) { return with_number(x, v, Binary::gt); }
Tensor logical_and(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::logical_and); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return binary(a, b, Binary::logical_or); }
Tensor logical_not(const Tensor& x) { return unary(x, Unary::logical_not); }
Tensor abs(const Tensor& x) { return unary(x, Unary::abs); }
Tensor sign(const Tensor& x) { return unary(x, Unary::sign); }
Tensor square(const Tensor& x) { return unary(x, Unary::square); }
Tensor sqrt(const Tensor& x) { return unary(x, Unary::sqrt); }
Tensor rsqrt(const Tensor& x) { return unary(x, Unary::rsqrt); }
Tensor reciprocal(const Tensor& x) { return unary(x, Unary::reciprocal); }
Tensor exp(const Tensor& x) { return unary(x, Unary::exp); }
Tensor log(const Tensor& x) { return unary(x, Unary::log); }
Tensor log1p(const Tensor& x) { return unary(x, Unary::log1p); }
Tensor log2(const Tensor& x) { return log(x) * 1.4426950408889634; }
Tensor sin(const Tensor& x) { return unary(x, Unary::sin); }
Tensor cos(const Tensor& x) { return unary(x, Unary::cos); }
Tensor erf(const Tensor& x) { return unary(x, Unary::erf); }
Tensor floor(const Tensor& x) { return unary(x, Unary::floor); }
Tensor ceil(const Tensor& x) { return unary(x, Unary::ceil); }
Tensor round(const Tensor& x) { return unary(x, Unary::round); }
Tensor sigmoid(const Tensor& x) { return unary(x, Unary::sigmoid); }
Tensor tanh(const Tensor& x) { return unary(x, Unary::tanh); }
Tensor relu(const Tensor& x) { return unary(x, Unary::relu); }
Tensor softplus(const Tensor& x) { return unary(x, Unary::softplus); }
Tensor log_sigmoid(const Tensor& x) { return unary(x, Unary::log_sigmoid); }
Tensor prelu(const Tensor& x, const Tensor& slope) {
  if (slope.rank() != 1 || (slope.dim(0) != 1 && (x.rank() < 2 || slope.dim(0) != x.dim(1))))
    reject(ops::binary, {x, slope},
           str_cat("prelu: slope ", slope.shape(), " is neither [1] nor one a channel of x ", x.shape()));
  return where(greater(x, 0.0), x, x * (slope.dim(0) == 1 ? slope : along_channels(slope, x.rank())));
}

}  // namespace fovea
