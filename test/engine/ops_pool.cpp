// SPDX-License-Identifier: Apache-2.0
// test/engine/ops_pool.cpp — pooling, resizing, random numbers, losses.
#include <array>
#include <cmath>
#include <limits>

#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "engine/ops/random.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

using namespace fovea;
using fovea::test::check_op;
using fovea::test::filled;
using fovea::test::values_of;
using fovea::test::Vars;

TEST_CASE("max_pool", "[op]") {
  const auto o = GENERATE(PoolOptions{.kernel = {2}}, PoolOptions{.kernel = {3}, .stride = {2}, .pad = {1}},
                          PoolOptions{.kernel = {3, 2}, .stride = {2, 1}, .pad = {1, 0}, .ceil_mode = true},
                          PoolOptions{.kernel = {3}, .stride = {1}, .pad = {1}, .dilation = {2}},
                          PoolOptions{.kernel = {3}, .stride = {2}, .same = true},
                          PoolOptions{.kernel = {2}, .stride = {3}, .pad = {0}, .pad_hi = {1}});
  check_op([&](Vars& v) { return max_pool_indices(v("x", {2, 3, 8, 7}), o); });
}

TEST_CASE("max_pool without indices", "[op]") {
  const Tensor x = filled("x", {2, 3, 8, 7});
  const PoolAttrs a{.kernel = {3, 3}, .stride = {2, 2}, .pad_lo = {1, 1}, .pad_hi = {1, 1}, .dilation = {1, 1},
                    .values_only = true};
  const Tensors out = call(ops::max_pool, {x}, a);
  REQUIRE(out.size() == 1);
  CHECK(values_of(out[0]) == values_of(max_pool(x, {.kernel = {3}, .stride = {2}, .pad = {1}})));
}

TEST_CASE("avg_pool", "[op]") {
  const bool count = GENERATE(true, false);
  const auto o = GENERATE(PoolOptions{.kernel = {2}}, PoolOptions{.kernel = {3}, .stride = {2}, .pad = {1}},
                          PoolOptions{.kernel = {3, 2}, .stride = {2, 2}, .pad = {1, 0}, .ceil_mode = true},
                          PoolOptions{.kernel = {3}, .stride = {2}, .same = true},
                          PoolOptions{.kernel = {3}, .stride = {1}, .pad = {1}, .divisor = 5});
  check_op([&](Vars& v) {
    PoolOptions p = o;
    p.count_include_pad = count;
    return avg_pool(v("x", {2, 3, 8, 7}), p);
  });
}

TEST_CASE("pooling of one and of three dimensions", "[op]") {
  check_op([](Vars& v) {
    return Tensors{max_pool(v("x", {2, 3, 9}), {.kernel = {3}, .stride = {2}}),
                   avg_pool(v("x", {2, 3, 9}), {.kernel = {3}, .stride = {2}})};
  });
  check_op([](Vars& v) {
    const Tensor x = v("x", {1, 2, 4, 5, 6});
    return Tensors{max_pool(x, {}), avg_pool(x, {.kernel = {2, 3, 2}, .stride = {1, 2, 2}}),
                   adaptive_avg_pool(x, {2, 3, 1}), adaptive_max_pool(x, {2, 3, 1})};
  });
}

TEST_CASE("adaptive pooling", "[op]") {
  const Dims size = GENERATE(Dims{1}, Dims{3, 2}, Dims{7, 7}, Dims{5, 9});
  check_op([&](Vars& v) {
    return Tensors{adaptive_avg_pool(v("x", {2, 3, 7, 5}), size), adaptive_max_pool(v("x", {2, 3, 7, 5}), size)};
  });
}

TEST_CASE("sizes of pools in ceil mode", "[op]") {
  const auto size = [](int64_t n, PoolOptions o) { return max_pool(zeros({1, 1, n}), o).dim(2); };
  CHECK(size(6, {.kernel = {3}, .stride = {2}}) == 2);
  CHECK(size(6, {.kernel = {3}, .stride = {2}, .ceil_mode = true}) == 3);
  CHECK(size(5, {.kernel = {2}, .stride = {2}, .pad = {1}, .ceil_mode = true}) == 3);
  CHECK(size(4, {.kernel = {2}, .stride = {3}, .pad = {1}, .ceil_mode = true}) ==
        2);  // a third window would begin in the padding
  CHECK(size(7, {.kernel = {1}, .stride = {3}, .ceil_mode = true}) == 3);
}

TEST_CASE("errors of pools", "[op]") {
  CHECK_THROWS_AS(max_pool(zeros({1, 1, 4, 4}), {.kernel = {3}, .pad = {2}}), Error);
  CHECK_THROWS_AS(max_pool(zeros({1, 1, 4, 4}), {.kernel = {5}}), Error);
  CHECK_THROWS_AS(avg_pool(zeros({1, 1, 4, 4}), {.kernel = {2}, .dilation = {2}}), Error);
  CHECK_THROWS_AS(max_pool(zeros({4, 4}), {}), Error);
  CHECK_THROWS_AS(adaptive_avg_pool(zeros({1, 1, 4, 4}), {0}), Error);
}

TEST_CASE("interpolate", "[op]") {
  const Interpolation mode = GENERATE(Interpolation::nearest, Interpolation::linear, Interpolation::cubic);
  const bool align = GENERATE(false, true), antialias = GENERATE(false, true);
  const Dims size = GENERATE(Dims{9, 11}, Dims{3, 4}, Dims{5, 1});
  if (mode == Interpolation::nearest && (align || antialias)) return;
  INFO(name_of(mode) << " align " << align << " antialias " << antialias << " " << to_string(size));
  check_op([&](Vars& v) {
    return interpolate(v("x", {2, 3, 5, 7}), size, {.mode = mode, .align_corners = align, .antialias = antialias});
  });
}

TEST_CASE("interpolate by scale, and of one and three dimensions", "[op]") {
  check_op([](Vars& v) {
    return interpolate(v("x", {2, 3, 5, 7}), {}, {.mode = Interpolation::linear, .scale = {1.7, 0.6}});
  });
  check_op([](Vars& v) { return interpolate(v("x", {2, 3, 5, 7}), {}, {.scale = {2}}); });
  check_op([](Vars& v) { return interpolate(v("x", {2, 3, 5}), {8}, {.mode = Interpolation::linear}); });
  check_op([](Vars& v) { return interpolate(v("x", {1, 2, 3, 4, 5}), {4, 4, 7}, {.mode = Interpolation::linear}); });
  check_op([](Vars& v) { return interpolate(v("x", {1, 2, 3, 4, 5}), {4, 4, 7}); });
  CHECK(interpolate(zeros({1, 1, 5, 7}), {}, {.scale = {1.5}}).shape() == Shape{1, 1, 7, 10});
  CHECK_THROWS_AS(interpolate(zeros({1, 1, 5, 7}), {}), Error);
  CHECK_THROWS_AS(interpolate(zeros({1, 1, 5}), {4}, {.mode = Interpolation::cubic}), Error);
  CHECK_THROWS_AS(interpolate(zeros({1, 1, 5, 5}), {4}, {.antialias = true}), Error);
}

TEST_CASE("random numbers have the right moments and depend on the key alone", "[op]") {
  const auto moments = [](const Tensor& t) {
    const auto [spread, centre] = var_mean(t, {});
    return std::pair{centre.item(), spread.item()};
  };
  const auto [um, uv] = moments(rand({20000}, 1));
  CHECK(um == Approx(0.5).margin(0.01));
  CHECK(uv == Approx(1.0 / 12).margin(0.003));
  const auto [nm, nv] = moments(randn({20000}, 1));
  CHECK(nm == Approx(0).margin(0.02));
  CHECK(nv == Approx(1).margin(0.03));
  const auto [bm, bv] = moments(bernoulli({20000}, 0.3, 1));
  CHECK(bm == Approx(0.3).margin(0.01));
  CHECK(bv == Approx(0.21).margin(0.005));
  CHECK(values_of(rand({7}, 5)) == values_of(rand({7}, 5)));
  CHECK(values_of(rand({7}, 5)) != values_of(rand({7}, 6)));
  const std::vector<double> u = values_of(rand({20000}, 1));
  for (double v : u) REQUIRE((v >= 0 && v < 1));
  CHECK_THROWS_AS(rand({2}, 0, DType::i64), Error);
}

TEST_CASE("a step changes what keys give, also from run to run of one graph", "[op]") {
  const auto at = [](int64_t step) {
    const UseRandomStep use(scalar(static_cast<double>(step), DType::i64));
    return values_of(rand({7}, 5));
  };
  CHECK(at(0) == values_of(rand({7}, 5)));
  CHECK(at(1) != at(0));
  const auto draw = [](const Tensor& step) {
    const UseRandomStep use(step);
    return Tensors{rand({7}, 5), randn({7}, 5), bernoulli({7}, 0.5, 5)};
  };
  Session session = compile(trace(draw, {make_meta(DType::i64, {})}));
  for (const int64_t step : {int64_t{0}, int64_t{1}, int64_t{1} << 40})
    CHECK(values_of(session.run({scalar(static_cast<double>(step), DType::i64)})[0]) == at(step));
  const UseRandomStep wrong(ones({}));
  CHECK_THROWS_AS(rand({2}, 0), Error);
}

TEST_CASE("dropout and drop_path", "[op]") {
  check_op([](Vars& v) {
    return Tensors{dropout(v("x", {4, 5}), 0.4, 7), drop_path(v("x", {4, 5}), 0.4, 7),
                   drop_path(v("x", {4, 5}), 0.4, 7, false)};
  });
  const Tensor x = ones({1000, 2});
  CHECK(dropout(x, 0, 1).same(x));
  CHECK(sum(dropout(x, 1, 1)).item() == 0);
  CHECK(mean(dropout(x, 0.2, 1)).item() == Approx(1).margin(0.05));
  const std::vector<double> y = values_of(drop_path(x, 0.5, 1));
  for (size_t i = 0; i < y.size(); i += 2) REQUIRE((y[i] == y[i + 1] && (y[i] == 0 || y[i] == 2)));
  CHECK_THROWS_AS(dropout(x, 1.5, 0), Error);
}

TEST_CASE("cross_entropy", "[op]") {
  const double smoothing = GENERATE(0.0, 0.1);
  const Reduction r = GENERATE(Reduction::none, Reduction::mean, Reduction::sum);
  check_op([&](Vars& v) {
    return cross_entropy(v("x", {5, 4}, {-3, 3}), v.index("t", {5}, 4), {.smoothing = smoothing, .reduction = r});
  });
  check_op([&](Vars& v) {
    return cross_entropy(v("x", {5, 4}, {-3, 3}), softmax(v("t", {5, 4}), 1), {.smoothing = smoothing, .reduction = r});
  });
  check_op([&](Vars& v) {
    const Tensor t = v.index("t", {9}, 4);
    return cross_entropy(v("x", {9, 4}, {-3, 3}), where(equal(t, 2), full({9}, -100, DType::i64, v.device()), t),
                         {.smoothing = smoothing, .reduction = r});
  });
}

TEST_CASE("other losses", "[op]") {
  const Reduction r = GENERATE(Reduction::none, Reduction::mean, Reduction::sum);
  check_op([&](Vars& v) { return nll_loss(v("x", {5, 4}), v.index("t", {5}, 4), r); });
  check_op([&](Vars& v) { return nll_loss(v("x", {9, 4}), v.index("t", {9}, 4), r, 1); });
  check_op([&](Vars& v) {
    return binary_cross_entropy_with_logits(v("x", {5, 4}, {-4, 4}), v("t", {5, 4}, {0, 1}), r);
  });
  check_op([&](Vars& v) {
    return Tensors{mse_loss(v("x", {5, 4}), v("t", {5, 4}), r), l1_loss(v("x", {5, 4}), v("t", {5, 4}), r)};
  });
  check_op([&](Vars& v) { return kl_div(v("x", {5, 4}), v("t", {5, 4}, {0.1, 1}), r); });
}

TEST_CASE("losses at their extremes, and what they refuse", "[op]") {
  CHECK(binary_cross_entropy_with_logits(from({1000.f, -1000.f}), from({1.f, 0.f})).item() == 0);
  CHECK(kl_div(from({-1.f}), from({0.f})).item() == 0);
  CHECK_THROWS_AS(cross_entropy(zeros({2, 3}), zeros({3}, DType::i64)), Error);
  CHECK_THROWS_AS(cross_entropy(zeros({2, 3}), zeros({2, 4})), Error);
  CHECK_THROWS_AS(cross_entropy(zeros({2, 3}), full({2}, 3, DType::i64)), Error);
  CHECK_THROWS_AS(mse_loss(zeros({2, 3}), zeros({3})), Error);
  // a class that counts for nothing need not be possible, and what is predicted for it may be anything
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor x = reshape(from({0.f, 0.f, -inf, 1.f}), {2, 2});
  const Tensor t = from<int64_t>(std::array<int64_t, 2>{1, -100}, {2});
  CHECK(cross_entropy(x, t).item() == Approx(std::log(2)));
  CHECK_THROWS_AS(cross_entropy(x, t, {.ignore_index = -1}), Error);
  CHECK(std::isnan(cross_entropy(x, full({2}, -100, DType::i64)).item()));  // as in PyTorch: the mean of nothing
  CHECK(cross_entropy(x, full({2}, -100, DType::i64), {.reduction = Reduction::sum}).item() == 0);
}
