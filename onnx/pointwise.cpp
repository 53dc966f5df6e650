// SPDX-License-Identifier: Apache-2.0
#include "onnx/pointwise.h"

#include <cmath>
#include <numbers>

namespace fovea::onnx {
namespace {

// Functions that ONNX has under a name of its own, without attributes.
const char* plain_name(Unary fn) {
  switch (fn) {
    case Unary::identity: return "Identity";
    case Unary::neg: return "Neg";
    case Unary::abs: return "Abs";
    case Unary::sign: return "Sign";
    case Unary::sqrt: return "Sqrt";
    case Unary::reciprocal: return "Reciprocal";
    case Unary::exp: return "Exp";
    case Unary::log: return "Log";
    case Unary::sin: return "Sin";
    case Unary::cos: return "Cos";
    case Unary::erf: return "Erf";
    case Unary::floor: return "Floor";
    case Unary::ceil: return "Ceil";
    case Unary::round: return "Round";
    case Unary::logical_not: return "Not";
    case Unary::relu: return "Relu";
    case Unary::selu: return "Selu";
    case Unary::sigmoid: return "Sigmoid";
    case Unary::tanh: return "Tanh";
    case Unary::mish: return "Mish";
    case Unary::softplus: return "Softplus";
    case Unary::hard_swish: return "HardSwish";
    default: return nullptr;
  }
}

std::string clip(Translator& t, const std::string& x, float least, float most) {
  return t.one("Clip", {x, t.model().number(least), t.model().number(most)});
}

std::string gelu_tanh(Translator& t, const std::string& x) {
  constexpr float kCubic = 0.044715f;
  const float root = std::sqrt(2 / std::numbers::pi_v<float>);
  const std::string cube = t.one("Mul", {t.one("Mul", {x, x}), x});
  const std::string inner = t.times(t.one("Add", {x, t.times(cube, kCubic)}), root);
  return t.one("Mul", {t.times(x, 0.5f), t.plus(t.one("Tanh", {inner}), 1)});
}

std::string composed(Translator& t, const std::string& x, const UnaryAttrs& a) {
  constexpr float kSixth = 1.0f / 6, kQuick = 1.702f;
  switch (a.fn) {
    case Unary::affine: return t.plus(t.times(x, a.a), a.b);
    case Unary::square: return t.one("Mul", {x, x});
    case Unary::rsqrt: return t.one("Reciprocal", {t.one("Sqrt", {x})});
    case Unary::log1p: return t.one("Log", {t.plus(x, 1)});
    case Unary::expm1: return t.plus(t.one("Exp", {x}), -1);
    case Unary::pow: return t.one("Pow", {x, t.model().number(a.a)});
    case Unary::clamp: return clip(t, x, a.a, a.b);
    case Unary::relu6: return clip(t, x, 0, 6);
    case Unary::leaky_relu: return t.one("LeakyRelu", {x}, {{"alpha", a.a}});
    case Unary::elu: return t.one("Elu", {x}, {{"alpha", a.a}});
    case Unary::celu: return t.one("Celu", {x}, {{"alpha", a.a}});
    case Unary::silu: return t.one("Mul", {x, t.one("Sigmoid", {x})});
    case Unary::gelu: {
      const std::string erf = t.one("Erf", {t.times(x, 1 / std::numbers::sqrt2_v<float>)});
      return t.one("Mul", {t.times(x, 0.5f), t.plus(erf, 1)});
    }
    case Unary::gelu_tanh: return gelu_tanh(t, x);
    case Unary::quick_gelu: return t.one("Mul", {x, t.one("Sigmoid", {t.times(x, kQuick)})});
    case Unary::hard_sigmoid: return t.one("HardSigmoid", {x}, {{"alpha", kSixth}, {"beta", 0.5f}});
    case Unary::hard_mish: return t.one("Mul", {t.times(x, 0.5f), clip(t, t.plus(x, 2), 0, 2)});
    case Unary::log_sigmoid: return t.one("Neg", {t.one("Softplus", {t.one("Neg", {x})})});
    default: t.refuse("the function is unknown");
  }
}

bool compares(Binary fn) { return fn >= Binary::eq; }

}  // namespace

void unary(Translator& t) {
  const auto& a = t.attrs<UnaryAttrs>();
  const char* name = plain_name(a.fn);
  if (!name && !is_floating(t.meta(0).dtype)) t.refuse(cat("its operand is ", fovea::name_of(t.meta(0).dtype)));
  t.give(name ? t.one(name, {t.in(0)}) : composed(t, t.in(0), a));
}

void binary(Translator& t) {
  const Binary fn = t.attrs<BinaryAttrs>().fn;
  const DType left = t.meta(0).dtype, right = t.meta(1).dtype;
  const bool logical = fn == Binary::logical_and || fn == Binary::logical_or;
  // operands of two dtypes meet in that of the result, comparisons in the one that holds more
  const DType meet = !compares(fn) ? t.result().dtype : is_floating(left) || !is_floating(right) ? left : right;
  std::string a = t.in(0), b = t.in(1);
  if (!logical && left != meet) a = t.as(a, meet);
  if (!logical && right != meet) b = t.as(b, meet);
  const auto simple = [&](const char* op) { t.give(t.one(op, {a, b})); };
  switch (fn) {
    case Binary::add: return simple("Add");
    case Binary::sub: return simple("Sub");
    case Binary::mul: return simple("Mul");
    case Binary::div: return simple("Div");
    case Binary::pow: return simple("Pow");
    case Binary::maximum: return simple("Max");
    case Binary::minimum: return simple("Min");
    case Binary::eq: return simple("Equal");
    case Binary::lt: return simple("Less");
    case Binary::le: return simple("LessOrEqual");
    case Binary::gt: return simple("Greater");
    case Binary::ge: return simple("GreaterOrEqual");
    case Binary::logical_and: return simple("And");
    case Binary::logical_or: return simple("Or");
    case Binary::ne: return t.give(t.one("Not", {t.one("Equal", {a, b})}));
    case Binary::remainder:
      if (!is_floating(meet)) return simple("Mod");
      return t.give(t.one("Sub", {a, t.one("Mul", {t.one("Floor", {t.one("Div", {a, b})}), b})}));
    case Binary::floor_divide:
      if (is_floating(meet)) return t.give(t.one("Floor", {t.one("Div", {a, b})}));
      t.refuse("whole numbers are divided");
    default: t.refuse("the function is unknown");
  }
}

}  // namespace fovea::onnx
