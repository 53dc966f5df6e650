// SPDX-License-Identifier: Apache-2.0
// test/bench/plots.cpp — axes, numbers for people, and a made-up run as stretches of time.
#include "bench/plots.h"

#include "bench/spans.h"
#include "bench/svg.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::bench;

namespace {

StepTime timed(const std::string& scope, std::string_view op, double seconds) {
  StepTime t;
  t.step.scope = scope;
  t.step.op = op;
  t.seconds = seconds;
  return t;
}

}  // namespace

TEST_CASE("numbers are shown with three digits", "[bench]") {
  CHECK(digits(0) == "0.00");
  CHECK(digits(1.234) == "1.23");
  CHECK(digits(9.996) == "10.0");
  CHECK(digits(99.96) == "100");
  CHECK(digits(1234.5) == "1234");
  CHECK(percent(0.0421) == "4.21 %");
  CHECK(size_text(65536) == "65.5 kB");
  CHECK(size_text(9.6e6) == "9.60 MB");
  CHECK(duration_text(8e-6) == "8.00 µs");
  CHECK(duration_text(0.0124) == "12.4 ms");
  CHECK(duration_text(1.3) == "1.30 s");
  CHECK(escaped("<a href=\"x\">&") == "&lt;a href=&quot;x&quot;&gt;&amp;");
}

TEST_CASE("axes place values and find round ticks", "[bench]") {
  const Axis x{0, 50, 100, 200};
  CHECK(x.at(0) == 100);
  CHECK(x.at(25) == 150);
  CHECK(x.ticks(5) == std::vector<double>{0, 10, 20, 30, 40, 50});
  const Axis log{1, 1000, 0, 300, true};
  CHECK(log.at(10) == Approx(100));
  CHECK(log.at(0.001) == Approx(0));               // what lies outside stands at the edge
  CHECK(log.ticks().size() == 4);
}

TEST_CASE("every op has the colour of its kind", "[bench]") {
  for (const OpDef* op : {&ops::conv, &ops::conv_dx, &ops::conv_dw}) CHECK(kind_of(op->name()) == "conv");
  for (const OpDef* op : {&ops::linear, &ops::matmul}) CHECK(kind_of(op->name()) == "product");
  for (const OpDef* op : {&ops::sdpa, &ops::softmax}) CHECK(kind_of(op->name()) == "attention");
  for (const OpDef* op : {&ops::batch_norm_eval, &ops::layer_norm, &ops::rms_norm, &ops::group_norm})
    CHECK(kind_of(op->name()) == "norm");
  for (const OpDef* op : {&ops::max_pool, &ops::reduce, &ops::interpolate}) CHECK(kind_of(op->name()) == "pool");
  for (const OpDef* op : {&ops::unary, &ops::binary, &ops::cast, &ops::where})
    CHECK(kind_of(op->name()) == "pointwise");
  for (const OpDef* op : {&ops::copy, &ops::cat, &ops::index_select}) CHECK(kind_of(op->name()) == "move");
  CHECK(kind_of(ops::random.name()) == "other");
  CHECK(name_of_kind("conv") == "convolutions");
}

TEST_CASE("steps make modules one inside the other", "[bench]") {
  Result r;
  r.steps = {timed("stem", "conv", 1), timed("blocks.0.conv", "conv", 2), timed("blocks.0.norm", "layer_norm", 3),
             timed("blocks.1", "binary", 4), timed("", "copy", 5), timed("blocks.1", "unary", 6)};
  CHECK(boundaries(r) == std::vector<double>{0, 1, 3, 6, 10, 15, 21});
  const std::vector<Span> spans = module_spans(r);
  const auto is = [&](size_t i, const std::string& name, size_t depth, size_t first, size_t last) {
    INFO(i);
    CHECK(spans[i].name == name);
    CHECK(spans[i].depth == depth);
    CHECK(spans[i].first == first);
    CHECK(spans[i].last == last);
  };
  REQUIRE(spans.size() == 8);
  is(0, "stem", 0, 0, 0);
  is(1, "blocks", 0, 1, 3);
  is(2, "blocks.0", 1, 1, 2);
  is(3, "blocks.0.conv", 2, 1, 1);
  is(4, "blocks.0.norm", 2, 2, 2);
  is(5, "blocks.1", 1, 3, 3);
  is(6, "blocks", 0, 5, 5);                        // again, after a step of no module
  is(7, "blocks.1", 1, 5, 5);
}

TEST_CASE("memory in use counts bytes once", "[bench]") {
  Result r;
  r.steps = {timed("a", "conv", 1), timed("b", "unary", 1), timed("c", "conv", 1)};
  r.memory = {{0, 1, 0, 100, "a", "conv"}, {1, 2, 0, 100, "b", "unary"}, {2, 2, 128, 50, "c", "conv"}};
  CHECK(bytes_in_use(r) == std::vector<int64_t>{100, 100, 150});
}
