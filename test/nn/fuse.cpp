// SPDX-License-Identifier: Apache-2.0
// test/nn/fuse.cpp — branches that are added up become one step of a session, and one layer of a module.
#include "nn/fuse.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/graph/session.h"
#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "test/support/catch.h"
#include "test/support/fill.h"

namespace fovea {
namespace {

double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor off = contiguous(cast(abs(a - b), DType::f64));
  const std::span<const double> d = off.data<double>();
  return *std::max_element(d.begin(), d.end());
}

// What adds up, as a module: x -> sum of signs * parts, and then perhaps a norm. A null part is x itself.
struct Sum : Module {
  std::vector<std::pair<double, Module*>> terms;
  Maybe<Module> norm;
  template <class M>
  Sum& plus(M part, double sign = 1) {
    terms.emplace_back(sign, add(str_cat("part", terms.size()), std::move(part)).get());
    return *this;
  }
  Sum& plus_operand() {
    terms.emplace_back(1, nullptr);
    return *this;
  }
  Sum& normed(int channels) {
    norm = add("norm", BatchNorm2d(channels));
    return *this;
  }
  Tensor forward(const Tensor& x) override {
    Tensor y;
    for (const auto& [sign, part] : terms) {
      const Tensor t = part ? (*part)(x) : x;
      y = !y ? t : sign < 0 ? y - t : y + t;
    }
    return norm(y);
  }
};

// Compiles the sum, compares it with eager, and says of how many steps it is.
size_t steps_of(Sum& m, int channels) {
  const NoGrad no_grad;
  m.eval();
  fill_weights(m);
  const Tensor x = golden_input({2, channels, 9, 11});
  Session s = compile(trace([&](const Tensor& t) { return m(t); }, {x.meta()}));
  CHECK(distance(s.run({x})[0], m(x)) < 2e-5);
  const auto changes = [](const StepInfo& i) { return i.op != "copy"; };
  return static_cast<size_t>(std::ranges::count_if(s.steps(), changes));
}

ConvNormAct conv(int in, int out, int kernel, const Conv2dOptions& o = {}) {
  return ConvNormAct(in, out, kernel, {.conv = o, .act = act::none});
}

// A norm behind a convolution, and a bias besides: what a fused one has as "weight" and "bias".
struct Layer final : FusibleLayer {
  Ref<Conv2d> c;
  Ref<BatchNorm2d> bn;
  Param shift;
  Layer(int in, int out) {
    shift = param("shift", {out, 1, 1});
    c = add("c", Conv2d(in, out, 3, {.stride = 2}));
    bn = add("bn", BatchNorm2d(out));
  }
  Tensor branches(const Tensor& x) override { return bn(c(x) + shift); }
  std::unique_ptr<Module> layer() override {
    return fused_conv(*this, *c, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

struct Net final : Module {
  Ref<Module> layer, act, fc;
  Net() {
    layer = add("layer", Layer(3, 8));
    act = add("act", Activation(act::relu));
    fc = add("fc", Linear(8, 5));
  }
  Tensor forward(const Tensor& x) override { return fc(mean(act(layer(x)), {2, 3})); }
};

}  // namespace

TEST_CASE("branches over one operand become one step", "[nn][session]") {
  Sum rep, strided, grouped, depthwise, dilated, mixer;
  CHECK(steps_of(rep.plus(conv(8, 8, 1)).plus(conv(8, 8, 3)).plus(BatchNorm2d(8)), 8) == 1);
  CHECK(steps_of(strided.plus(conv(8, 12, 1, {.stride = 2})).plus(conv(8, 12, 3, {.stride = 2})), 8) == 1);
  const Conv2dOptions groups{.groups = 4};
  CHECK(steps_of(grouped.plus(conv(8, 8, 5, groups)).plus(BatchNorm2d(8)).plus(conv(8, 8, 3, groups)), 8) == 1);
  const Conv2dOptions apart{.groups = 8};
  depthwise.plus(conv(8, 8, 3, apart)).plus(Conv2d(8, 8, 1, {.groups = 8, .bias = true})).plus_operand().normed(8);
  CHECK(steps_of(depthwise, 8) == 1);
  CHECK(steps_of(dilated.plus(conv(8, 8, 3, {.dilation = 2})).plus(conv(8, 8, 1)).plus(BatchNorm2d(8)), 8) == 1);
  mixer.plus(conv(8, 8, 7, apart)).plus(BatchNorm2d(8), -1).plus(conv(8, 8, 3, apart), -1).normed(8);
  CHECK(steps_of(mixer, 8) == 1);
}

TEST_CASE("branches whose kernels do not fit stay apart", "[nn][session]") {
  Sum dilations, operand, activated;
  CHECK(steps_of(dilations.plus(conv(8, 8, 3, {.dilation = 2})).plus(conv(8, 8, 3)), 8) == 2);
  CHECK(steps_of(operand.plus(conv(8, 8, 3)).plus_operand(), 8) == 1);  // in the epilogue
  CHECK(steps_of(activated.plus(ConvNormAct(8, 8, 3)).plus(conv(8, 8, 1)), 8) == 2);
}

TEST_CASE("a fused module answers as before and saves one layer", "[nn]") {
  const NoGrad no_grad;
  const Tensor x = golden_input({2, 3, 9, 11});
  for (const DType t : {DType::f32, DType::f64}) {
    Net m, other;
    fill_weights(m);
    m.to(t);
    const Tensor image = cast(x, t), want = m(image);
    CHECK(fuse(m) == 1);
    CHECK(fuse(m) == 1);  // nothing is left to do
    const StateDict saved = m.state_dict();
    CHECK(saved.names() == std::vector<std::string>{"layer.weight", "layer.bias", "fc.weight", "fc.bias"});
    CHECK(saved.at("layer.weight").dtype() == t);
    CHECK(distance(m(image), want) < (t == DType::f64 ? 1e-6 : 1e-5));
    other.to(t);
    fuse(other);  // without bytes
    CHECK_FALSE(other.has_bytes());
    CHECK(other.load(saved).clean());
    CHECK(distance(other(image), m(image)) == 0);
  }
}

TEST_CASE("norms in front of linear layers and means of these become one layer", "[nn][session]") {
  struct Heads final : FusibleLayer {
    Ref<Module> bn1, fc1, bn2, fc2;
    Heads() {
      bn1 = add("bn1", BatchNorm2d(12));
      fc1 = add("fc1", Linear(12, 5));
      bn2 = add("bn2", BatchNorm2d(12));
      fc2 = add("fc2", Linear(12, 5, false));
    }
    Tensor branches(const Tensor& x) override { return (fc1(bn1(x)) + fc2(bn2(x))) * 0.5; }
    std::unique_ptr<Module> layer() override {
      return fused_linear(*this, 12, 5, Branches([this](const Tensor& x) { return branches(x); }));
    }
  };
  const NoGrad no_grad;
  Heads m;
  fill_weights(m);
  const Tensor x = reshape(golden_input({3, 12, 1, 1}), {3, 12}), want = m(x);
  Session s = compile(trace([&](const Tensor& t) { return m(t); }, {x.meta()}));
  CHECK(s.steps().size() == 1);
  CHECK(distance(s.run({x})[0], want) < 1e-5);
  fuse(m);
  CHECK(m.state_dict().names() == std::vector<std::string>{"weight", "bias"});
  CHECK(distance(m(x), want) < 1e-5);
}

TEST_CASE("16-bit branches are not fused", "[nn]") {
  Net m;
  fill_weights(m);
  m.to(DType::bf16);
  CHECK_THROWS_AS(fuse(m), Error);
  CHECK(m.state_dict().contains("layer.c.weight"));
}

}  // namespace fovea
