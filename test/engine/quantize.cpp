// SPDX-License-Identifier: Apache-2.0
// test/engine/quantize.cpp — histograms, calibration, and the pass: what becomes integers and how far it then is off.
#include <algorithm>

#include "engine/graph/calibration.h"
#include "engine/graph/histogram.h"
#include "engine/graph/sensitivity.h"
#include "engine/graph/trace.h"
#include "engine/ops/lowered/quant.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"

namespace fovea {
namespace {

// A stem, a gated depthwise block with a residual, a pool and a classifier.
struct Small {
  Tensor stem = numbers({24, 3, 3, 3}, 1, 0.4), expand = numbers({48, 24, 1, 1}, 2, 0.3),
         depthwise = numbers({48, 1, 3, 3}, 3, 0.5), gate = numbers({48, 48, 1, 1}, 4, 0.2),
         shrink = numbers({24, 48, 1, 1}, 5, 0.3), classes = numbers({10, 24}, 6, 0.5), bias = numbers({10}, 7);

  Tensor operator()(const Tensor& image) const {
    Tensor x = relu(conv(image, stem, {}, {.stride = {2}, .pad = {1}}));
    x = max_pool(x, {.kernel = {3}, .stride = {2}, .pad = {1}});
    Tensor y = unary(conv(x, expand), Unary::hard_swish);
    y = unary(conv(y, depthwise, {}, {.pad = {1}, .groups = 48}), Unary::relu6);
    y = y * sigmoid(conv(mean(y, {2, 3}, keep_dims), gate));
    return linear(mean(relu(conv(y, shrink) + x), {2, 3}), classes, bias);
  }
};

Tensor image(int64_t seed, int64_t batch = 1) { return numbers({batch, 3, 32, 32}, seed); }
Graph traced(const Small& net, int64_t batch = 1) {
  return trace([&](const Tensor& x) { return net(x); }, {make_meta(DType::f32, {batch, 3, 32, 32})});
}

std::shared_ptr<const Calibration> calibrated(const Small& net) {
  Calibrator seen(traced(net));
  for (int i = 0; i < 20; ++i) seen.observe(image(100 + i));
  return std::make_shared<Calibration>(seen.result());
}

int64_t steps_of(const Session& s, std::string_view op) {
  return std::count_if(s.steps().begin(), s.steps().end(), [&](const StepInfo& i) { return i.op == op; });
}

}  // namespace

TEST_CASE("histogram: ranges cover what occurs, and leave out what costs more than it brings", "[quant]") {
  Histogram h;
  CHECK(h.empty());
  std::vector<float> even;
  for (int i = 0; i <= 10000; ++i) even.push_back(static_cast<float>(i) * 1e-4f * 3 - 1);
  h.add(even);
  CHECK(h.least() == -1);
  CHECK(h.largest() == Approx(2.0f));
  const auto [lo, hi] = h.best_range();
  CHECK(static_cast<double>(lo) == Approx(-1).margin(0.04));
  CHECK(static_cast<double>(hi) == Approx(2).margin(0.04));
  for (int i = 0; i < 99; ++i) h.add(even);
  const float far[] = {5.f};                       // one in a million; bins grow for it
  h.add(far);
  CHECK(h.largest() == 5);
  CHECK(h.best_range().second < 4);
  Histogram positive;
  const float some[] = {0.f, 1.f, 2.f, std::numeric_limits<float>::quiet_NaN()};
  positive.add(some);
  CHECK(positive.best_range().first == 0);
}

TEST_CASE("quantize: convolutions and products become integers, close to f32 and the same in every run", "[quant]") {
  const Small net;
  const std::shared_ptr<const Calibration> c = calibrated(net);
  Session f32 = compile(traced(net)), int8 = compile(traced(net), {.calibration = c});
  CHECK(steps_of(int8, "quant_conv") == 2);
  CHECK(steps_of(int8, "quant_depthwise") == 1);
  CHECK(steps_of(int8, "conv") == 1);              // the first one
  CHECK(steps_of(int8, "half_linear") == 2);       // the gate's and the last one
  CHECK(steps_of(int8, "quant_max_pool") == 1);
  CHECK(steps_of(int8, "quant_gate") == 1);
  CHECK(steps_of(int8, "quant_mean") == 1);
  CHECK(steps_of(int8, "quantize") == 1);          // in front of the pool
  CHECK(steps_of(int8, "dequantize") == 0);
  for (int i = 0; i < 5; ++i) {
    const Tensor x = image(200 + i);
    const std::vector<double> want = test::values_of(f32.run(x)), got = test::values_of(int8.run(x));
    const double off = test::relative_error(got, want);
    CHECK(off < 0.05);
    CHECK(off > 0);
    CHECK(test::values_of(int8.run(x)) == got);
  }
}

TEST_CASE("quantize: a calibration serves other batches", "[quant]") {
  const Small net;
  const std::shared_ptr<const Calibration> c = calibrated(net);
  Session one = compile(traced(net), {.calibration = c}), three = compile(traced(net, 3), {.calibration = c});
  const Tensor x = image(300, 3);
  const std::vector<double> all = test::values_of(three.run(x));
  for (int64_t i = 0; i < 3; ++i) {
    const std::vector<double> alone = test::values_of(one.run(contiguous(slice(x, 0, i, i + 1))));
    CHECK(std::equal(alone.begin(), alone.end(), all.begin() + i * 10));
  }
}

TEST_CASE("quantize: what costs most accuracy for its work is found and stays in f32", "[quant]") {
  const Small net;
  const std::shared_ptr<const Calibration> c = calibrated(net);
  const std::vector<Tensor> images{image(100), image(101)};
  const SensitivityMeter meter(traced(net), {}, images);
  std::vector<Sensitivity> each;
  for (const auto& [name, observed] : c->values) each.push_back(meter.measure(name, observed));
  const auto worst = std::max_element(each.begin(), each.end(), [](const Sensitivity& a, const Sensitivity& b) {
    return a.error * b.work < b.error * a.work;
  });
  CHECK(worst->error > 0);
  CHECK(meter.measure("nothing", {}).error == 0);
  CHECK(spare_most_sensitive(*c, each, 0).values.size() == c->values.size());
  double work = 0;
  for (const Sensitivity& s : each) work += s.work;
  const Calibration without = spare_most_sensitive(*c, each, worst->work / work * 1.0001);
  CHECK_FALSE(without.values.contains(worst->value));
  // all that makes a difference in f32: none is left
  const Calibration harmless = spare_most_sensitive(*c, each, 1);
  CHECK_FALSE(harmless.values.empty());
  Session f32 = compile(traced(net)),
          same = compile(traced(net), {.calibration = std::make_shared<Calibration>(harmless)});
  CHECK(test::values_of(same.run(image(500))) == test::values_of(f32.run(image(500))));
  CHECK_THROWS_AS(SensitivityMeter(traced(net), {}, {}), Error);
}

TEST_CASE("means are those of the channels that a product sums over", "[quant]") {
  const Tensor v = numbers({5, 3, 1, 1}, 1), w = numbers({6, 5}, 2), u = numbers({4, 6}, 3);
  const auto net = [&](const Tensor& x) {
    return linear(relu(linear(permute(relu(conv(x, v)), {0, 2, 3, 1}), w)), u);
  };
  const Graph g = trace(net, {make_meta(DType::f32, {1, 3, 2, 4})});
  Calibrator seen(g);
  const Tensor x = numbers({1, 3, 2, 4}, 4);
  seen.observe(x);
  Calibration ranges = seen.result();
  const std::vector<double> want = test::values_of(mean(relu(conv(x, v)), {2, 3}));
  Observed* read = nullptr;                        // by the product: its channels come last
  for (auto& [name, o] : ranges.values)
    if (name.find("permute") != name.npos) read = &o;
  REQUIRE(read);
  REQUIRE(read->mean.size() == want.size());
  for (size_t c = 0; c < want.size(); ++c) CHECK(static_cast<double>(read->mean[c]) == Approx(want[c]).margin(1e-6));
  read->mean.pop_back();
  CHECK_THROWS_WITH(compile(g, {.calibration = std::make_shared<Calibration>(ranges)}),
                    contains_text("means of 4 channels"));
}

TEST_CASE("quantize: what was not calibrated stays as it is", "[quant]") {
  const Small net;
  Calibration some = *calibrated(net);
  std::erase_if(some.values, [](const auto& v) { return v.second.mean.size() == 24; });
  Session partly = compile(traced(net), {.calibration = std::make_shared<Calibration>(some)});
  CHECK(steps_of(partly, "quant_conv") == 1);      // only those that read 48 channels
  CHECK(steps_of(partly, "quant_depthwise") == 1);
  CHECK(steps_of(partly, "conv") == 2);            // the first one and the expansion
  CHECK(steps_of(partly, "half_linear") == 1);     // the gate's
  CHECK(steps_of(partly, "linear") == 1);
  CHECK_THROWS_AS(compile(traced(net), {.calibration = std::make_shared<Calibration>()}), Error);
  CHECK_THROWS_AS(Calibrator(traced(net)).result(), Error);
}

}  // namespace fovea
