// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_pointwise.cpp — cast, functions of one and of two operands, where, promotion, what is refused.
#include <cmath>
#include <memory>

#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::CheckOptions;
using fovea::test::Range;
using fovea::test::values_of;
using fovea::test::Vars;

namespace {
struct UnaryCase {
  Unary fn;
  Range range{-4, 4};
  float a = 0, b = 0;
};
constexpr Range kPositive{0.3, 3};
}  // namespace

TEST_CASE("functions of one operand", "[op]") {
  const auto c = GENERATE(
      UnaryCase{Unary::identity}, UnaryCase{Unary::affine, {}, 1.5f, -0.25f}, UnaryCase{Unary::neg},
      UnaryCase{Unary::abs}, UnaryCase{Unary::square}, UnaryCase{Unary::sqrt, kPositive},
      UnaryCase{Unary::rsqrt, kPositive}, UnaryCase{Unary::reciprocal, kPositive}, UnaryCase{Unary::exp},
      UnaryCase{Unary::log, kPositive}, UnaryCase{Unary::log1p, kPositive}, UnaryCase{Unary::sin},
      UnaryCase{Unary::cos}, UnaryCase{Unary::erf, {-2, 2}}, UnaryCase{Unary::pow, kPositive, 2.5f},
      UnaryCase{Unary::pow, {-2, 2}, 3}, UnaryCase{Unary::pow, kPositive, -1}, UnaryCase{Unary::clamp, {-4, 4}, -1, 2},
      UnaryCase{Unary::relu}, UnaryCase{Unary::relu6, {-3, 9}}, UnaryCase{Unary::leaky_relu, {-4, 4}, 0.1f},
      UnaryCase{Unary::elu, {-4, 4}, 1.5f}, UnaryCase{Unary::celu, {-4, 4}, 2}, UnaryCase{Unary::selu},
      UnaryCase{Unary::sigmoid}, UnaryCase{Unary::tanh, {-2, 2}}, UnaryCase{Unary::silu}, UnaryCase{Unary::mish},
      UnaryCase{Unary::softplus}, UnaryCase{Unary::gelu}, UnaryCase{Unary::gelu_tanh}, UnaryCase{Unary::quick_gelu},
      UnaryCase{Unary::hard_sigmoid, {-5, 5}}, UnaryCase{Unary::hard_swish, {-5, 5}}, UnaryCase{Unary::hard_mish},
      UnaryCase{Unary::expm1, {-1, 1}}, UnaryCase{Unary::log_sigmoid});
  INFO(name_of(c.fn));
  check_op([&](Vars& v) { return unary(v("x", {2, 3, 5, 4}, c.range), c.fn, c.a, c.b); });
}

TEST_CASE("functions of one operand without slope", "[op]") {
  const Unary fn = GENERATE(Unary::sign, Unary::floor, Unary::ceil, Unary::round, Unary::logical_not);
  INFO(name_of(fn));
  check_op([&](Vars& v) { return unary(v.constant("x", {3, 7}, {-3, 3}), fn); }, {.gradient = false});
}

TEST_CASE("functions of two operands", "[op]") {
  const Binary fn = GENERATE(Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::pow, Binary::maximum,
                             Binary::minimum, Binary::remainder);
  struct Shapes {
    Shape a, b;
  };
  const auto s = GENERATE(Shapes{{2, 3, 4, 5}, {2, 3, 4, 5}}, Shapes{{2, 3, 4, 5}, {3, 1, 1}},
                          Shapes{{4, 1}, {2, 1, 5}}, Shapes{{}, {3}});
  INFO(name_of(fn) << " " << to_string(s.a) << " " << to_string(s.b));
  // One operand is below the other's range in part, and quotients stay away from integers, where remainder jumps.
  check_op(
      [&](Vars& v) {
        return binary(v("a", s.a, {0.5, 2}), v("b", s.b, {0.4, 1.4}), fn);
      },
      {.half = fn != Binary::remainder});
}

TEST_CASE("comparisons", "[op]") {
  const Binary fn =
      GENERATE(Binary::eq, Binary::ne, Binary::lt, Binary::le, Binary::gt, Binary::ge, Binary::floor_divide);
  INFO(name_of(fn));
  check_op(
      [&](Vars& v) {
        return binary(v.constant("a", {2, 3, 4}, {1, 5}), floor(v.constant("b", {3, 1}, {1, 5})), fn);
      },
      {.gradient = false, .half = fn != Binary::floor_divide});
  check_op(
      [&](Vars& v) {
        return binary(v.index("a", {20, 3}, 5) + 1.0, v.index("b", {20, 3}, 5) + 1.0, fn);
      },
      {.gradient = false});
}

TEST_CASE("logic", "[op]") {
  check_op(
      [](Vars& v) {
        const Tensor a = v.mask("a", {4, 5}), b = v.mask("b", {5});
        return Tensors{logical_and(a, b), logical_or(a, b), logical_not(a), logical_and(v.index("i", {4, 5}, 2), a)};
      },
      {.gradient = false});
}

TEST_CASE("where", "[op]") {
  check_op([](Vars& v) { return where(v.mask("m", {4, 1, 6}), v("a", {3, 6}), v("b", {4, 3, 1})); });
  check_op([](Vars& v) {
    return where(v.mask("m", {2, 3, 4, 5}), v("a", {2, 3, 4, 5}), scalar(0, v.dtype(), v.device()));
  });
}

TEST_CASE("cast", "[op]") {
  check_op([](Vars& v) { return cast(v("x", {3, 5}), DType::f32) * 2.0; }, {.gradient = false});
  check_op([](Vars& v) { return cast(cast(v("x", {3, 5}, {-100, 100}), DType::i32), v.dtype()); }, {.gradient = false});
  check_op([](Vars& v) { return cast(v.mask("m", {3, 5}), v.dtype()) * v("x", {3, 5}); });
}

TEST_CASE("numbers beside tensors", "[op]") {
  check_op([](Vars& v) {
    const Tensor x = v("x", {3, 4}, {0.5, 2});
    return Tensors{
        x + 0.1,           x - 0.1,     x * 0.1, x / 0.3, 0.1 + x, 0.1 - x, 0.1 * x, 0.1 / x, clamp(x, 0.7, 1.9),
        clamp_min(x, 1.1), pow(x, 1.7), log2(x)};
  });
  const Tensor i = arange(-2, 3);
  CHECK(values_of(i * 3.0 - 1.0) == std::vector<double>{-7, -4, -1, 2, 5});
  CHECK((i + 1.0).dtype() == DType::i64);
  CHECK_THROWS_AS(i * 0.5, Error);
  CHECK_THROWS_AS(i / 2.0, Error);
}

TEST_CASE("named functions compute what they are called", "[op]") {
  const std::vector<double> v{-1.25, -0.5, 0.25, 0.5, 2.5};
  const Tensor x = from(std::span<const double>(v), {5});
  const Tensor y = from(std::span<const double>(std::vector<double>{-0.5, -0.5, 0.5, 0.5, 0.5}), {5});
  const auto is = [&](const Tensor& got, double (*wanted)(double)) {
    const std::vector<double> values = values_of(got);
    for (size_t i = 0; i < v.size(); ++i) CHECK(values[i] == Approx(wanted(v[i])).margin(1e-12));
  };
  is(abs(x), [](double t) { return std::abs(t); });
  is(sign(x), [](double t) { return t < 0 ? -1.0 : 1.0; });
  is(square(x), [](double t) { return t * t; });
  is(sqrt(abs(x)), [](double t) { return std::sqrt(std::abs(t)); });
  is(rsqrt(abs(x)), [](double t) { return 1 / std::sqrt(std::abs(t)); });
  is(reciprocal(x), [](double t) { return 1 / t; });
  is(exp(x), [](double t) { return std::exp(t); });
  is(log(abs(x)), [](double t) { return std::log(std::abs(t)); });
  is(log1p(abs(x)), [](double t) { return std::log1p(std::abs(t)); });
  is(log2(abs(x)), [](double t) { return std::log2(std::abs(t)); });
  is(sin(x), [](double t) { return std::sin(t); });
  is(cos(x), [](double t) { return std::cos(t); });
  is(erf(x), [](double t) { return std::erf(t); });
  is(floor(x), [](double t) { return std::floor(t); });
  is(ceil(x), [](double t) { return std::ceil(t); });
  is(round(x), [](double t) { return std::nearbyint(t); });
  is(sigmoid(x), [](double t) { return 1 / (1 + std::exp(-t)); });
  is(tanh(x), [](double t) { return std::tanh(t); });
  is(relu(x), [](double t) { return std::max(t, 0.0); });
  is(softplus(x), [](double t) { return std::log1p(std::exp(t)); });
  is(log_sigmoid(x), [](double t) { return -std::log1p(std::exp(-t)); });
  is(affine(x, 2, -3), [](double t) { return 2 * t - 3; });
  is(-x, [](double t) { return -t; });
  is(zeros_like(x), [](double) { return 0.0; });
  is(ones_like(x), [](double) { return 1.0; });
  CHECK(values_of(maximum(x, y)) == std::vector<double>{-0.5, -0.5, 0.5, 0.5, 2.5});
  CHECK(values_of(minimum(x, y)) == std::vector<double>{-1.25, -0.5, 0.25, 0.5, 0.5});
  CHECK(values_of(pow(abs(x), abs(y))) == values_of(sqrt(abs(x))));
  CHECK(values_of(equal(x, y)) == std::vector<double>{0, 1, 0, 1, 0});
  CHECK(values_of(less(x, y)) == std::vector<double>{1, 0, 1, 0, 0});
  CHECK(values_of(less_equal(x, y)) == std::vector<double>{1, 1, 1, 1, 0});
  CHECK(values_of(greater(x, y)) == std::vector<double>{0, 0, 0, 0, 1});
  CHECK(values_of(greater_equal(x, y)) == std::vector<double>{0, 1, 0, 1, 1});
  CHECK(values_of(equal(x, 0.5)) == std::vector<double>{0, 0, 0, 1, 0});
  CHECK(values_of(less(x, 0.5)) == std::vector<double>{1, 1, 1, 0, 0});
  CHECK(values_of(greater(x, 0.5)) == std::vector<double>{0, 0, 0, 0, 1});
}

TEST_CASE("prelu", "[op]") {
  check_op([](Vars& v) { return prelu(v("x", {2, 3, 4}), v("slope", {3})); });
  check_op([](Vars& v) { return prelu(v("x", {2, 3}), v("slope", {1})); });
  CHECK_THROWS_AS(prelu(zeros({2, 3}), zeros({2})), Error);
}

TEST_CASE("gradients at kinks and zeros follow PyTorch", "[op]") {
  CHECK(values_of(unary_dx(ones({4}), from({0.f, 6.f, 3.f, -1.f}), Unary::relu6)) == std::vector<double>{0, 0, 1, 0});
  CHECK(values_of(unary_dx(ones({3}), from({-1.f, 0.f, 1.f}), Unary::clamp, -1, 1)) == std::vector<double>{0, 1, 0});
  CHECK(values_of(unary_dx(ones({2}), from({0.f, -1.f}), Unary::leaky_relu, 0.25f)) == std::vector<double>{0.25, 0.25});
}

TEST_CASE("dtypes are promoted", "[op]") {
  const auto sum = [](DType a, DType b) { return binary(zeros({2}, a), zeros({2}, b), Binary::maximum).dtype(); };
  CHECK(sum(DType::boolean, DType::u8) == DType::u8);
  CHECK(sum(DType::u8, DType::i64) == DType::i64);
  CHECK(sum(DType::i64, DType::bf16) == DType::bf16);
  CHECK(sum(DType::f16, DType::bf16) == DType::f32);
  CHECK(sum(DType::f32, DType::bf16) == DType::f32);
  CHECK(sum(DType::f64, DType::f32) == DType::f64);
}

TEST_CASE("an image that lies channels-last decides for the result", "[op]") {
  const Tensor image = contiguous(zeros({2, 3, 4, 5}), Memory::channels_last);
  CHECK((zeros({2, 3, 4, 5}) + image).meta().is_channels_last());
  CHECK((image * zeros({3, 1, 1})).meta().is_channels_last());
  CHECK(relu(image).meta().is_channels_last());
  const Tensor tokens = transpose(zeros({2, 7, 5}), 1, 2);
  CHECK((zeros({2, 5, 7}) + tokens).meta().is_contiguous());
}

TEST_CASE("errors of pointwise ops name the values", "[op]") {
  const auto message = [](auto f) -> std::string {
    try {
      f();
    } catch (const Error& e) { return e.what(); }
    return "";
  };
  CHECK(message([] {
          zeros({2, 3}) + zeros({4});
        }) == "binary: shapes [2, 3] and [4] do not broadcast (3 against 4)\n  a: f32[2, 3] cpu   b: f32[4] cpu");
  CHECK(message([] { sqrt(arange(0, 3)); }).find("sqrt needs a floating operand, not i64") != std::string::npos);
  CHECK(message([] { where(zeros({2}), zeros({2}), zeros({2})); }).find("the condition must be bool, not f32") !=
        std::string::npos);
}

TEST_CASE("the tape keeps only what gradients read", "[op]") {
  const auto kept = [](auto f) {  // does the result keep the storage of f's operand alive?
    Tensor leaf = ones({3});
    leaf.set_requires_grad();
    Tensor x = exp(leaf * 1.0 + 0.0) + 0.0;
    const std::weak_ptr<Storage> bytes = x.impl()->storage;
    const Tensor y = f(x);
    x = {};
    return !bytes.expired();
  };
  CHECK_FALSE(kept([](const Tensor& x) { return x + ones({3}); }));
  CHECK_FALSE(kept([](const Tensor& x) { return ones({3}) - x; }));
  CHECK_FALSE(kept([](const Tensor& x) { return -(x * 2.0); }));
  CHECK_FALSE(kept([](const Tensor& x) { return mean(x); }));
  CHECK_FALSE(kept([](const Tensor& x) { return softmax(x, 0); }));
  CHECK(kept([](const Tensor& x) { return x * x; }));
  CHECK(kept([](const Tensor& x) { return sigmoid(x); }));
}
