// SPDX-License-Identifier: Apache-2.0
// test/bench/plots.cpp — axes, numbers for people, and a made-up run as stretches of time.
#include "bench/plots.h"

#include "bench/detail.h"
#include "bench/scatter.h"
#include "bench/spans.h"
#include "bench/svg.h"
#include "engine/ops/lowered/chain.h"
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

StepInfo step_of(const OpDef& op) {
  StepInfo s;
  s.op = op.name();
  s.role = op.role;
  return s;
}

StepInfo conv_step(const Shape& x, const Shape& w, const std::string& attrs, const std::string& plan = "cpu:product") {
  StepInfo s = step_of(ops::conv);
  s.in = {make_meta(DType::f32, x), make_meta(DType::f32, w)};
  s.attrs = attrs;
  s.plan = plan;
  return s;
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

TEST_CASE("every step has the colour of its kind, convolutions that of how they run", "[bench]") {
  for (const OpDef* op : {&ops::linear, &ops::matmul}) CHECK(kind_of(step_of(*op)) == "product");
  for (const OpDef* op : {&ops::sdpa, &ops::softmax}) CHECK(kind_of(step_of(*op)) == "attention");
  for (const OpDef* op : {&ops::batch_norm_eval, &ops::layer_norm, &ops::rms_norm, &ops::group_norm})
    CHECK(kind_of(step_of(*op)) == "norm");
  for (const OpDef* op : {&ops::max_pool, &ops::reduce, &ops::interpolate}) CHECK(kind_of(step_of(*op)) == "pool");
  for (const OpDef* op : {&ops::unary, &ops::binary, &ops::cast, &ops::where})
    CHECK(kind_of(step_of(*op)) == "pointwise");
  for (const OpDef* op : {&ops::copy, &ops::cat, &ops::index_select}) CHECK(kind_of(step_of(*op)) == "move");
  CHECK(kind_of(step_of(ops::random)) == "other");
  for (const OpDef* op : {&ops::conv, &ops::conv_dx, &ops::conv_dw}) CHECK(kind_of(step_of(*op)) == "conv");
  CHECK(kind_of(conv_step({1, 32, 8, 8}, {16, 32, 1, 1}, "stride=[1, 1], groups=1")) == "conv1");
  CHECK(kind_of(conv_step({1, 32, 8, 8}, {32, 1, 3, 3}, "stride=[1, 1], groups=32")) == "depthwise");
  CHECK(kind_of(conv_step({1, 32, 8, 8}, {32, 8, 3, 3}, "stride=[1, 1], groups=4")) == "conv");
  CHECK(kind_of(conv_step({1, 32, 8, 8}, {32, 32, 3, 3}, "groups=1", "cpu:winograd avx2")) == "winograd");
  for (const std::string_view kind : kinds()) CHECK(!name_of_kind(kind).empty());
  CHECK(name_of_kind("depthwise") == "depthwise convolutions");
}

TEST_CASE("a step's strides, groups and fused functions are said in a few words", "[bench]") {
  const std::string attrs =
      "stride=[2, 2], dilation=[1, 1], pad_lo=[1, 1], pad_hi=[1, 1], groups=4, act=relu, residual=1";
  CHECK(bench::detail(conv_step({1, 32, 8, 8}, {32, 8, 3, 3}, attrs)) ==
        "3x3, stride 2, pad 1, groups 4, + residual, relu");
  CHECK(bench::detail(
            conv_step({1, 32, 8, 8}, {32, 1, 1, 7}, "stride=[1, 2], pad_lo=[0, 3], pad_hi=[0, 2], groups=32")) ==
        "1x7, stride 1x2, pad 0x3 and 0x2, depthwise");
  CHECK(bench::detail(conv_step({1, 32, 8, 8}, {8, 32, 1, 1}, "stride=[1, 1], dilation=[1, 1], groups=1")) == "1x1");
  StepInfo pool = step_of(ops::max_pool);
  pool.attrs = "kernel=[3, 3], stride=[2, 2], pad_lo=[1, 1], pad_hi=[1, 1], values_only=1";
  CHECK(bench::detail(pool) == "3x3, stride 2, pad 1");
  StepInfo binary = step_of(ops::binary);          // what is zero is not printed: an add
  CHECK(bench::detail(binary) == "add");
  binary.attrs = "fn=mul";
  CHECK(bench::detail(binary) == "mul");
  StepInfo mean = step_of(ops::reduce);
  mean.attrs = "fn=mean, axes=[2, 3]";
  CHECK(bench::detail(mean) == "mean, over 2x3");
  StepInfo chain = step_of(ops::chain);
  chain.attrs = "kind=unary, fn=silu, kind=binary, y=-1, kind=unary_dx, fn=tanh, size=3";
  CHECK(bench::detail(chain) == "silu → add → tanh'");
  CHECK(bench::detail(step_of(ops::layer_norm)).empty());
}

TEST_CASE("the names of kernels are explained", "[bench]") {
  CHECK(explanation_of("cpu:few avx2").find("few input channels") != std::string_view::npos);
  CHECK(explanation_of("cpu:quant product avx512vnni").find("8-bit") != std::string_view::npos);
  CHECK(explanation_of("cpu:product avx2").find("8-bit") == std::string_view::npos);
  CHECK(explanation_of("ref") != explanation_of("cpu:product avx2"));
  CHECK(explanation_of("cpu:avx2").empty());
}

TEST_CASE("labels find a place that nothing has taken", "[bench]") {
  Taken taken(100, 50);
  CHECK(taken.free({0, 0, 100, 50}));
  CHECK_FALSE(taken.free({60, 0, 41, 10}));        // outside
  taken.add({10, 10, 20, 20});
  CHECK_FALSE(taken.free({25, 25, 10, 10}));
  CHECK(taken.free({30, 10, 10, 10}));             // they touch
  CHECK(text_width("µs") == Approx(text_width("ms")));     // letters, not bytes
  Svg svg(10, 10);
  svg.fitted_text(0, 0, "ééééééééé", text_width("éééé"));
  CHECK(svg.str("").find(">ééé…<") != std::string::npos);   // cut between letters
}

TEST_CASE("labels of a scatter keep clear of points, or are left out", "[bench]") {
  Scatter plot(kNarrow, {1, 10}, {1, 10}, "x", "y");
  plot.point(3, 3, 10, "dot", "tip");
  plot.label(3, 3, 10, "beside");
  plot.line({1, 5}, {10, 5}, "roof", "a roof");
  CHECK(plot.str("s").find(">beside<") != std::string::npos);
  CHECK(plot.str("s").find(">a roof<") != std::string::npos);
  Scatter full(kNarrow, {1, 10}, {1, 10}, "x", "y");
  for (double x = 1; x <= 10; x *= 1.02)
    for (double y = 1; y <= 10; y *= 1.05) full.point(x, y, 16, "dot", "");
  full.label(3, 3, 10, "nowhere");
  CHECK(full.str("s").find("nowhere") == std::string::npos);
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
  r.memory = {{0, 1, 0, 100, "a conv"}, {1, 2, 0, 100, "b unary"}, {2, 2, 128, 50, "c conv"}};
  CHECK(bytes_in_use(r) == std::vector<int64_t>{100, 100, 150});
}
