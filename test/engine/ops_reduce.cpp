// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_reduce.cpp — reductions, arg-reductions, cumulative sums, top-k and softmax.
#include <cmath>

#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("reduce", "[op]") {
  const Reduce fn = GENERATE(Reduce::sum, Reduce::mean, Reduce::max, Reduce::min, Reduce::prod, Reduce::sum_squares);
  const Dims dims = GENERATE(Dims{}, Dims{1}, Dims{2, 3}, Dims{0, 2}, Dims{-1}, Dims{0, 2, 3});
  const KeepDims keep = GENERATE(drop_dims, keep_dims);
  INFO(name_of(fn) << " " << to_string(dims));
  check_op([&](Vars& v) { return reduce(v("x", {2, 3, 4, 5}, {0.5, 1.5}), fn, dims, keep); });
}

TEST_CASE("reductions of integers and bools", "[op]") {
  check_op(
      [](Vars& v) {
        const Tensor i = v.index("i", {4, 5}, 9), m = v.mask("m", {4, 5});
        return Tensors{sum(i, {1}), prod(i, {0}), amax(i), amin(i, {1}), sum(m, {0}), any(m, {1}), all(m, {1}), any(i)};
      },
      {.gradient = false});
  CHECK(sum(zeros({3}, DType::u8)).dtype() == DType::i64);
  CHECK_THROWS_AS(mean(arange(0, 3)), Error);
  CHECK_THROWS_AS(amax(zeros({0, 3}), {0}), Error);
  CHECK(sum(zeros({0, 3}), {0}).numel() == 3);
  CHECK_THROWS_AS(sum(zeros({2, 3}), {2}), Error);
  CHECK_THROWS_AS(sum(zeros({2, 3}), {1, -1}), Error);
}

TEST_CASE("the gradient of a product with zeros among its factors", "[op]") {
  check_op(
      [](Vars& v) {
        return prod(v("x", {3, 4}) * v.constant("c", {1, 1}) * cast(v.mask("m", {3, 4}), v.dtype()), {1});
      },
      {.second = false});
}

TEST_CASE("equal extremes share the gradient", "[op]") {
  check_op([](Vars& v) { return amax(maximum(v("x", {4, 6}), scalar(0.2, v.dtype(), v.device())), {1}); });
}

TEST_CASE("variance, norm, log-sum-exp", "[op]") {
  check_op([](Vars& v) { return var_mean(v("x", {3, 4, 5}), {0, 2}); });
  check_op([](Vars& v) { return var_mean(v("x", {3, 4, 5}), {1}, keep_dims, true); });
  check_op([](Vars& v) { return norm(v("x", {3, 4}), {1}); });
  check_op([](Vars& v) { return normalize(v("x", {3, 4, 2}), 1); });
  check_op([](Vars& v) { return logsumexp(v("x", {3, 4}, {-5, 5}), -1); });
  check_op([](Vars& v) { return logsumexp(v("x", {3, 4}, {90, 95}), 0, keep_dims); });
  CHECK(values_of(normalize(zeros({1, 3}), 1)) == std::vector<double>{0, 0, 0});
}

TEST_CASE("argmax and argmin", "[op]") {
  check_op(
      [](Vars& v) {
        return Tensors{argmax(v.constant("x", {3, 4, 5}), 1), argmin(v.constant("x", {3, 4, 5}), -1, keep_dims)};
      },
      {.gradient = false});
  CHECK(values_of(argmax(from({1.f, 3.f, 3.f, 2.f}), 0)) == std::vector<double>{1});
  CHECK(values_of(argmin(from({1.f, 0.f, 0.f, 2.f}), 0)) == std::vector<double>{1});
}

TEST_CASE("cumsum", "[op]") {
  const int dim = GENERATE(0, 1, -1);
  check_op([&](Vars& v) { return cumsum(v("x", {3, 4, 5}), dim); });
}

TEST_CASE("topk and argsort", "[op]") {
  const int dim = GENERATE(0, 1, 2);
  const bool largest = GENERATE(true, false);
  check_op([&](Vars& v) { return topk(v("x", {4, 5, 6}), 3, dim, largest); });
  CHECK(values_of(argsort(from({2.f, 1.f, 2.f, 0.f}))) == std::vector<double>{3, 1, 0, 2});
  CHECK(values_of(argsort(from({2.f, 1.f, 2.f, 0.f}), 0, true)) == std::vector<double>{0, 2, 1, 3});
  CHECK_THROWS_AS(topk(zeros({3}), 4), Error);
}

TEST_CASE("softmax", "[op]") {
  const int dim = GENERATE(0, 1, -1);
  check_op([&](Vars& v) { return softmax(v("x", {3, 4, 5, 2}, {-3, 3}), dim); });
  check_op([&](Vars& v) { return log_softmax(v("x", {3, 4, 5, 2}, {-3, 3}), dim); });
}

TEST_CASE("softmax of what overflows exp", "[op]") {
  CHECK(values_of(softmax(from({1000.f, 1000.f, -1000.f}), 0)) == std::vector<double>{0.5, 0.5, 0});
  const auto masked = values_of(softmax(from({-INFINITY, 1.f, 1.f}), 0));
  CHECK(masked == std::vector<double>{0, 0.5, 0.5});
}

TEST_CASE("sum_to", "[op]") {
  const Shape to = GENERATE(Shape{3, 4}, Shape{1, 4}, Shape{4}, Shape{2, 1, 1}, Shape{});
  check_op([&](Vars& v) { return sum_to(v("x", {2, 3, 4}), to); });
  CHECK_THROWS_AS(sum_to(zeros({2, 3}), {2}), Error);
}
