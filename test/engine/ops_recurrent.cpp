// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_recurrent.cpp — long short-term memory.
#include "engine/ops/recurrent.h"

#include <span>
#include <vector>

#include "engine/autograd/autograd.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::filled;
using fovea::test::relative_error;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("lstm", "[op]") {
  struct Case {
    Shape x;
    int directions, hidden, dim;
  };
  const auto c = GENERATE(Case{{3, 4, 12}, 1, 3, 1}, Case{{2, 3, 24}, 2, 3, 0}, Case{{2, 3, 2, 16}, 2, 2, 1},
                          Case{{5, 4}, 1, 1, 0}, Case{{1, 1, 8}, 2, 1, 1});
  INFO(to_string(c.x));
  check_op([&](Vars& v) { return lstm(v("x", c.x, {-2, 2}), v("w", {c.directions, 4 * c.hidden, c.hidden}), c.dim); });
}

TEST_CASE("lstm of many sequences, and with more gates than a tile has columns", "[op]") {
  const int dim = GENERATE(1, 2);
  check_op(
      [&](Vars& v) {
        return lstm(v("x", {2, 11, 5, 2 * 4 * 18}), v("w", {2, 4 * 18, 18}), dim);
      },
      {.second = false});
}

TEST_CASE("the gradient of lstm is the same in one pass and step by step", "[op]") {
  const auto gradients = [](bool again) {
    Tensor x = filled("x", {3, 6, 40}, DType::f64), w = filled("w", {2, 20, 5}, DType::f64);
    x.set_requires_grad();
    w.set_requires_grad();
    const Tensor loss = sum(lstm(x, w, 1) * filled("gy", {3, 6, 10}, DType::f64));
    return grad(std::span(&loss, 1), std::vector{x, w}, {}, again);
  };
  const Tensors one = gradients(false), steps = gradients(true);
  for (size_t i = 0; i < 2; ++i) CHECK(relative_error(values_of(one[i]), values_of(steps[i])) < 1e-12);
}

TEST_CASE("what lstm refuses", "[op]") {
  CHECK_THROWS_AS(lstm(zeros({2, 3, 12}), zeros({1, 12, 4}), 1), Error);
  CHECK_THROWS_AS(lstm(zeros({2, 3, 12}), zeros({3, 12, 3}), 1), Error);
  CHECK_THROWS_AS(lstm(zeros({2, 3, 12}), zeros({2, 12, 3}), 1), Error);
  CHECK_THROWS_AS(lstm(zeros({2, 3, 12}), zeros({1, 12, 3}), 2), Error);
  CHECK_THROWS_AS(lstm(zeros({2, 3, 12}), zeros({1, 12, 3}, DType::f64), 1), Error);
}
