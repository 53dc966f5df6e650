// SPDX-License-Identifier: Apache-2.0
// test/train/optimizers.cpp — update rules against what timm and PyTorch make of the same small problem, and the groups
// of parameters that they work on.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::values_of;

namespace {

nlohmann::json recorded(const char* name) {
  std::ifstream file(cat(FOVEA_SOURCE_DIR "/test/golden/train/", name));
  return nlohmann::json::parse(file);
}

Tensor formula(const std::string& name, const Shape& s) {
  std::vector<double> values(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(hash_uniform(fnv1a(name), i));
  return from<double>(values, s);
}

// The parameters of test/golden/record/optimizers.py.
class Toy final : public Module {
 public:
  Toy() {
    make("decay.weight", {20, 18});
    make("decay.kernel", {18, 17, 3, 2});
    make("decay.thin", {3, 5});
    make("no_decay.bias", {19});
  }
  struct Entry {
    std::string name;
    Param p;
    Tensor a, t;
  };
  std::vector<Entry> entries;

 private:
  void make(const std::string& name, const Shape& s) {
    const Param p = param(name.substr(name.find('.') + 1), s, {}, DType::f64);
    p.set(formula(name, s).set_requires_grad());
    entries.push_back({name, p, affine(formula(name + ".a", s), 0.5, 1), formula(name + ".t", s)});
  }
};

struct ToyLoss final : train::Objective {
  Tensor operator()(Module& m, std::span<const Tensor>) const override {
    Tensor loss;
    for (const Toy::Entry& e : static_cast<Toy&>(m).entries) {
      const Tensor p = e.p, one = sum(e.a * square(p - e.t) * 0.5 + cos(p * 3.0));
      loss = loss ? loss + one : one;
    }
    return loss;
  }
};

std::vector<double> summary(const Tensor& t) {
  const std::vector<double> v = values_of(t);
  double sum = 0, squares = 0;
  for (const double x : v) sum += x, squares += x * x;
  return {sum, squares, v.front(), v[v.size() / 2], v.back()};
}

void check_rule(const std::string& name, const nlohmann::json& wanted, bool compiled) {
  Toy toy;
  std::vector<train::ParameterGroup> groups(2);
  groups[0].name = "no_decay";
  groups[1].name = "decay";
  groups[1].weight_decay = 0.05;
  for (const train::SharedParameter& p : train::trainable(toy))
    groups[p.name == "bias" ? 0 : 1].parameters.push_back(p);
  const double lr = 0.02, exact = name == "radamlegacy" ? 1e-6 : 1e-9;      // timm computes that one in f32
  train::Optimizer optimizer(train::rule(name), std::move(groups), lr);
  train::Step step(toy, optimizer, {.objective = std::make_shared<ToyLoss>()});
  if (compiled) step.compile();
  for (int i = 0; i < 14; ++i) {
    optimizer.set_lr(lr * (1 - 0.04 * i));
    const double loss = step({}), recorded = wanted.at("losses").at(static_cast<size_t>(i));
    INFO(name << (compiled ? ", compiled" : "") << ", step " << i);
    CHECK(loss == Approx(recorded).epsilon(exact));
  }
  for (const Toy::Entry& e : toy.entries) {
    const std::vector<double> have = summary(e.p), want = wanted.at(e.name);
    for (size_t i = 0; i < want.size(); ++i) {
      INFO(name << (compiled ? ", compiled" : "") << ": " << e.name << " " << i);
      CHECK(have[i] == Approx(want[i]).epsilon(1e-6).margin(1e-8));
    }
  }
}

}  // namespace

TEST_CASE("every rule makes of a problem what timm makes of it", "[train]") {
  const nlohmann::json all = recorded("optimizers.json");
  const bool compiled = GENERATE(false, true);
  size_t seen = 0;
  for (const auto& [name, wanted] : all.items()) {
    check_rule(name, wanted, compiled);
    ++seen;
  }
  CHECK(seen == train::rule_names().size() + 2);   // and two with lookahead_
}

TEST_CASE("rules refuse what they do not know", "[train]") {
  CHECK_THROWS_WITH(train::rule("adamm"), contains_text("closest: adam"));
  CHECK_THROWS_WITH(train::rule("lion", {{"eps", 1}}),
                    contains_text("no setting 'eps'") && contains_text("beta1, beta2"));
  CHECK_THROWS_AS(train::rule("adam", {{"beta1", 1}}), Error);
  CHECK_THROWS_AS(train::rule("adam", {{"eps", -1}}), Error);
  CHECK(train::settings_of("lion", {{"eps", 1}, {"beta1", 0.8}, {"momentum", 0.9}}) ==
        train::RuleSettings{{"beta1", 0.8}});
}
