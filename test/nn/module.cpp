// SPDX-License-Identifier: Apache-2.0
// test/nn/module.cpp — the tree of modules: names and their order, sharing, moving, modes, first values.
#include "nn/module.h"

#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

struct Leaf final : Module {
  Param weight, count, table;
  explicit Leaf(int n) {
    count = buffer("count", {}, init::zeros(), DType::i64);
    weight = param("weight", {n}, init::ones());
    table = constant("table", full({n}, 2));
  }
  Tensor forward(const Tensor& x) override { return x * *weight * *table; }
};

struct Pair final : Module {
  Ref<Leaf> first, second;
  Param scale, tied;
  Pair() {
    first = add("first", Leaf(3));
    second = add("second", Leaf(3));
    scale = param("scale", {1}, init::constant(0.5));
    tied = share("tied", first->weight);
  }
  Tensor forward(const Tensor& x) override { return second(first(x)) * *scale; }
};

std::string names(const std::vector<NamedParameter>& all) {
  std::string s;
  for (const NamedParameter& n : all) s += n.name + " ";
  return s;
}

}  // namespace

TEST_CASE("state comes in PyTorch's order: own parameters, own buffers, children", "[nn]") {
  Pair p;
  CHECK(names(p.named_state()) == "scale tied first.weight first.count second.weight second.count ");
  CHECK(names(p.named_buffers()) == "first.count first.table second.count second.table ");
  CHECK(p.state_dict().names().size() == 6);
}

TEST_CASE("a shared parameter is one parameter under its first name", "[nn]") {
  Pair p;
  CHECK(names(p.named_parameters()) == "scale tied second.weight ");
  CHECK(p.parameter_count() == 7);
  p.materialise();
  *p.parameters()[1] = full({3}, 5);
  CHECK(p.first->weight->data<float>()[2] == 5);
}

TEST_CASE("modules are values: moving keeps children, handles and names", "[nn]") {
  Pair made;
  made.materialise();
  Pair p = std::move(made);
  const Tensor y = p(ones({3}));
  CHECK(y.data<float>()[0] == 2);
  Sequential s;
  s.add(std::move(p));
  s.add(Identity());
  s.add("tail", Leaf(3));
  CHECK(names(s.named_parameters()) == "0.scale 0.tied 0.second.weight tail.weight ");
  CHECK(s.size() == 3);
}

TEST_CASE("errors name the module they happened in", "[nn]") {
  Sequential s;
  s.add("stem", Conv2d(3, 8, 3));
  s.materialise();
  try {
    s(ones({1, 4, 8, 8}));
    FAIL("a convolution took the wrong number of channels");
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("at stem") != std::string::npos);
  }
}

TEST_CASE("names that cannot be are refused", "[nn]") {
  Sequential s;
  s.add("a", Identity());
  CHECK_THROWS_AS(s.add("a", Identity()), Error);
  CHECK_THROWS_AS(s.add("a.b", Identity()), Error);
  const Ref<Module> nothing;
  CHECK_THROWS_AS(nothing(ones({1})), Error);
  const Maybe<Module> identity;
  const Tensor x = ones({1});
  CHECK(identity(x).same(x));
}

TEST_CASE("modules have no bytes until they are asked for", "[nn]") {
  Conv2d c(3, 8, 3, {.bias = true});
  CHECK_FALSE(c.has_bytes());
  CHECK_THROWS_AS(c(ones({1, 3, 4, 4})), Error);
  c.materialise(1);
  CHECK(c.has_bytes());
  const float first = c.weight->data<float>()[0];
  Conv2d same(3, 8, 3), other(3, 8, 3);
  same.materialise(1);
  other.materialise(2);
  CHECK(same.weight->data<float>()[0] == first);
  CHECK(other.weight->data<float>()[0] != first);
  for (const float v : c.weight->data<float>()) CHECK(std::abs(v) <= 1 / std::sqrt(27.0f));
}

TEST_CASE("modes, gradients and dtypes reach every module", "[nn]") {
  Sequential s;
  Ref<Dropout> drop = s.add(Dropout(0.5));
  s.add(Linear(4, 2));
  CHECK_FALSE(s.training());
  s.train();
  CHECK(drop->training());
  {
    const EvalMode eval(s);
    CHECK_FALSE(drop->training());
  }
  CHECK(drop->training());
  s.materialise();
  s.set_requires_grad();
  CHECK(s.parameters()[0]->requires_grad());
  s.to(DType::bf16);
  CHECK(s.parameters()[0]->dtype() == DType::bf16);
  CHECK(s.parameters()[0]->requires_grad());
  CHECK_THROWS_AS(s.to(DType::i64), Error);
}

TEST_CASE("children are found by path and replaced in place", "[nn]") {
  struct Net final : Module {
    Net() {
      add("body", Identity());
      add("head", Linear(4, 2));
    }
    void shrink() { replace("head", std::make_unique<Linear>(4, 1)); }
    void lose() { replace("tail", std::make_unique<Identity>()); }
  } net;
  net.train();
  net.shrink();
  CHECK(net.find("head")->training());
  CHECK(dynamic_cast<Linear&>(*net.find("head")).out_features() == 1);
  CHECK(net.find("head.fc") == nullptr);
  CHECK_THROWS_AS(net.lose(), Error);
}

TEST_CASE("a vacant module hands its operand through and holds nothing", "[nn]") {
  Pair p;
  p.materialise();
  p.second->vacate();
  CHECK(names(p.named_state()) == "scale tied first.weight first.count ");
  CHECK(p(full({3}, 4)).data<float>()[1] == 4);    // x 2 by first, / 2 by scale
  CHECK(p.second->vacant());
  const Ref<Leaf> below = p.first;
  p.vacate();
  CHECK(p.children().empty());
  CHECK(p.state_dict().names().empty());
  CHECK(p(full({3}, 4)).data<float>()[1] == 4);
  CHECK((*below)(full({3}, 4)).data<float>()[1] == 8);   // whoever knew it still can use it
}

TEST_CASE("first values follow their distributions", "[nn]") {
  const auto moments = [](const Init& how) {
    const Tensor t = init::draw(how, {40000}, DType::f32, 7);
    double sum = 0, squares = 0, lo = 1e9, hi = -1e9;
    for (const float v : t.data<float>()) {
      const double x = static_cast<double>(v);
      sum += x, squares += x * x, lo = std::min(lo, x), hi = std::max(hi, x);
    }
    return std::array{sum / 40000, std::sqrt(squares / 40000 - sum / 40000 * (sum / 40000)), lo, hi};
  };
  const auto normal = moments(init::normal(2, 1));
  CHECK(normal[0] == Approx(1).margin(0.04));
  CHECK(normal[1] == Approx(2).epsilon(0.02));
  const auto cut = moments(init::trunc_normal_tf(0.5, 0));
  CHECK(cut[1] == Approx(0.5 * 0.8796).epsilon(0.02));
  CHECK(cut[2] >= -1);
  CHECK(cut[3] <= 1);
  const auto flat = moments(init::uniform(-3, 5));
  CHECK(flat[0] == Approx(1).margin(0.05));
  CHECK(flat[1] == Approx(8 / std::sqrt(12.0)).epsilon(0.02));
  const auto lecun = moments(init::lecun_normal({16, 100}));
  CHECK(lecun[1] == Approx(0.1).epsilon(0.03));
}

}  // namespace fovea
