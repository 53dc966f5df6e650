// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_matmul.cpp — matrix products, linear layers, einsum, attention.
#include <cmath>

#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::filled;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("matmul", "[op]") {
  const bool ta = GENERATE(false, true), tb = GENERATE(false, true);
  struct Lead {
    Shape a, b;
  };
  const auto lead = GENERATE(Lead{{}, {}}, Lead{{2}, {2}}, Lead{{2, 3}, {3}}, Lead{{}, {2}}, Lead{{2, 1}, {1, 3}});
  const auto shape = [](Shape s, bool t, int64_t rows, int64_t columns) {
    s.push_back(t ? columns : rows);
    s.push_back(t ? rows : columns);
    return s;
  };
  INFO(ta << tb << to_string(lead.a) << to_string(lead.b));
  check_op([&](Vars& v) {
    return matmul(v("a", shape(lead.a, ta, 4, 5)), v("b", shape(lead.b, tb, 5, 3)),
                  {.transpose_a = ta, .transpose_b = tb, .scale = 0.5f});
  });
}

TEST_CASE("matmul of larger and of thin matrices", "[op]") {
  check_op([](Vars& v) { return matmul(v("a", {65, 130}), v("b", {130, 33})); }, {.second = false});
  check_op([](Vars& v) { return matmul(v("a", {3, 1, 17}), v("b", {3, 17, 1})); });
}

TEST_CASE("linear", "[op]") {
  const Shape lead = GENERATE(Shape{3}, Shape{2, 5}, Shape{2, 3, 4}, Shape{});
  const bool bias = GENERATE(false, true);
  check_op([&](Vars& v) {
    Shape s = lead;
    s.push_back(7);
    return linear(v("x", s), v("w", {6, 7}), bias ? v("b", {6}) : Tensor());
  });
}

TEST_CASE("errors of matrix ops", "[op]") {
  CHECK_THROWS_AS(matmul(zeros({2, 3}), zeros({2, 3})), Error);
  CHECK_THROWS_AS(matmul(zeros({3}), zeros({3, 2})), Error);
  CHECK_THROWS_AS(matmul(zeros({2, 3}), zeros({3, 2}, DType::f64)), Error);
  CHECK_THROWS_AS(linear(zeros({2, 3}), zeros({4, 5})), Error);
  CHECK_THROWS_AS(linear(zeros({2, 3}), zeros({4, 3}), zeros({3})), Error);
}

TEST_CASE("einsum", "[op]") {
  struct Case {
    const char* equation;
    Shape a, b;
  };
  const auto c =
      GENERATE(Case{"ij,jk->ik", {3, 4}, {4, 5}}, Case{"bhwc,hkc->bhwk", {2, 3, 4, 5}, {3, 6, 5}},
               Case{"bhwc,wkc->bhwk", {2, 3, 4, 5}, {4, 6, 5}}, Case{"bnd,bmd->bnm", {2, 3, 4}, {2, 5, 4}},
               Case{"i,j->ij", {3}, {4}}, Case{"bhk,bkd->bhd", {2, 3, 4}, {2, 4, 5}}, Case{"ab,ab->b", {3, 4}, {3, 4}},
               Case{"abc,cd->da", {2, 3, 4}, {4, 5}}, Case{"nchw,nc->nhw", {2, 3, 4, 5}, {2, 3}});
  INFO(c.equation);
  check_op([&](Vars& v) { return einsum(c.equation, v("a", c.a), v("b", c.b)); });
}

TEST_CASE("einsum with one operand, and what it refuses", "[op]") {
  check_op([](Vars& v) { return einsum("abc->ca", v("a", {2, 3, 4}), {}); });
  CHECK_THROWS_AS(einsum("ii,ij->j", zeros({2, 2}), zeros({2, 2})), Error);
  CHECK_THROWS_AS(einsum("ij,jk", zeros({2, 2}), zeros({2, 2})), Error);
  CHECK_THROWS_AS(einsum("ij,jk->il", zeros({2, 2}), zeros({2, 2})), Error);
  CHECK_THROWS_AS(einsum("ij,jk->ik", zeros({2, 3}), zeros({2, 2})), Error);
  CHECK_THROWS_AS(einsum("i?,jk->ik", zeros({2, 3}), zeros({2, 2})), Error);
  CHECK_THROWS_AS(einsum("ijk,jk->ik", zeros({2, 3}), zeros({3, 2})), Error);
}

TEST_CASE("sdpa", "[op]") {
  const auto lead = GENERATE(Shape{2, 3}, Shape{4});
  const int mask = GENERATE(0, 1, 2, 3);  // none, bool, additive, causal
  check_op(
      [&](Vars& v) {
        const auto with = [&](int64_t rows, int64_t columns) {
          Shape s = lead;
          s.push_back(rows);
          s.push_back(columns);
          return s;
        };
        Tensor m;
        if (mask == 1) m = v.mask("mask", {5, 7});
        if (mask == 2) m = v("bias", with(5, 7));
        return sdpa(v("q", with(5, 4)), v("k", with(7, 4)), v("v", with(7, 6)), m, {.causal = mask == 3});
      },
      {.f32 = 5e-6});
}

TEST_CASE("sdpa broadcasts leading dimensions and takes plain matrices", "[op]") {
  check_op(
      [](Vars& v) {
        return sdpa(v("q", {2, 3, 5, 4}), v("k", {3, 7, 4}), v("v", {1, 3, 7, 4}), v("bias", {3, 1, 7}),
                    {.scale = 0.7});
      },
      {.f32 = 5e-6});
  check_op([](Vars& v) { return sdpa(v("q", {5, 4}), v("k", {7, 4}), v("v", {7, 4})); }, {.f32 = 5e-6});
}

TEST_CASE("sdpa where a row may attend to nothing", "[op]") {
  Tensor mask = zeros({2, 3}, DType::boolean);
  mask.mutable_data<bool>()[0] = true;
  const Tensor q = filled("q", {1, 2, 4}), k = filled("k", {1, 3, 4}), v = filled("v", {1, 3, 2});
  const std::vector<double> y = values_of(sdpa(q, k, v, mask)), first = values_of(select(v, 1, 0));
  CHECK(y == std::vector<double>{first[0], first[1], 0, 0});
}

// The rounding of such scores is larger than what exp() takes; each row still attends to its best key.
TEST_CASE("sdpa of scores that are huge", "[op]") {
  const Tensor k = filled("k", {1, 37, 4}) * 1e6, v = filled("v", {1, 37, 6});
  const auto exact = [](const Tensor& t) { return cast(t, DType::f64); };
  for (const double size : {3e4, -3e4, 3e8}) {
    const Tensor q = filled("q", {1, 21, 4}) * size;
    const double scale = size < 0 ? -0.3 : 0.3;
    const std::vector<double> y = values_of(sdpa(q, k, v, {}, {.scale = scale})),
                              best = values_of(sdpa(exact(q), exact(k), exact(v), {}, {.scale = scale}));
    for (size_t i = 0; i < y.size(); ++i) CHECK(std::abs(y[i] - best[i]) < 1e-5);
  }
}

TEST_CASE("attention dropout drops weights and scales the rest", "[op]") {
  const Tensor q = filled("q", {2, 8, 4}), k = filled("k", {2, 8, 4}), v = eye(8);
  const Tensor values = expand(v, {2, 8, 8});
  const std::vector<double> full = values_of(sdpa(q, k, values)),
                            dropped = values_of(sdpa(q, k, values, {}, {.dropout = 0.5, .key = 3}));
  int zero = 0;
  for (size_t i = 0; i < full.size(); ++i) {
    if (dropped[i] == 0) ++zero;
    else CHECK(dropped[i] == Approx(2 * full[i]).epsilon(1e-5));
  }
  CHECK(zero > 40);
  CHECK(zero < 90);
}

TEST_CASE("errors of sdpa", "[op]") {
  CHECK_THROWS_AS(sdpa(zeros({2, 5, 4}), zeros({2, 7, 3}), zeros({2, 7, 4})), Error);
  CHECK_THROWS_AS(sdpa(zeros({2, 5, 4}), zeros({2, 7, 4}), zeros({2, 6, 4})), Error);
  CHECK_THROWS_AS(sdpa(zeros({2, 5, 4}), zeros({3, 7, 4}), zeros({2, 7, 4})), Error);
  CHECK_THROWS_AS(sdpa(zeros({2, 5, 4}), zeros({2, 7, 4}), zeros({2, 7, 4}), zeros({5, 6})), Error);
  CHECK_THROWS_AS(sdpa(zeros({2, 5, 4}), zeros({2, 7, 4}), zeros({2, 7, 4}), {}, {.dropout = 1.5}), Error);
}
