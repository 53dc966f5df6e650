// SPDX-License-Identifier: Apache-2.0
// test/zoo/checkpointing.cpp — gradient checkpointing in all families: the same training step, computed twice over.
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/core/eager.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/family.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

// The last recorded case of each family: of networks with batch norm the one in train mode.
std::map<std::string, json> case_of_each_family() {
  std::map<std::string, json> cases;
  for (const json& c : recorded_cases("gradients"))
    cases[std::string(module_of(c.at("name").get<std::string>()))] = c;
  return cases;
}

// Runs ops as ever, and counts those that take the time: of the forward pass, when they are run again, and all others.
struct Counter final : Executor {
  Eager eager;
  size_t once = 0, again = 0;
  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override {
    if (site.op.name() == "conv" || site.op.name() == "linear" || site.op.name() == "matmul")
      ++(recomputing() ? again : once);
    return eager.emit(site, in, std::move(out));
  }
};

struct Step {
  double recomputed = 0;                           // share of the forward pass
  StateDict gradients, buffers;
};

Step step_of(const json& c, bool checkpointing) {
  const auto name = c.at("name").get<std::string>();
  ModelOptions o = recorded_options(c);
  o.drop_rate = 0.1f;
  if (create(name)->family().accepts.drop_path_rate) o.drop_path_rate = 0.3f;
  const auto m = create(name, o);
  fill_weights(*m);
  m->set_grad_checkpointing(checkpointing);
  m->train().set_requires_grad();
  m->seed(5);
  const auto size = c.at("input").get<std::array<int64_t, 4>>();
  Counter counter;
  const UseExecutor counting(counter);
  const Tensor loss = mean(square((*m)(golden_input({size[0], size[1], size[2], size[3]}))));
  const auto forward = static_cast<double>(counter.once);
  backward(loss);
  Step step{.recomputed = static_cast<double>(counter.again) / forward, .gradients = {}, .buffers = {}};
  for (const NamedParameter& p : m->named_parameters()) step.gradients.set(p.name, p.tensor().grad());
  for (const NamedParameter& b : m->named_buffers()) step.buffers.set(b.name, b.tensor());
  return step;
}

void check_same(const StateDict& a, const StateDict& b) {
  REQUIRE(a.names() == b.names());
  for (const auto& [name, t] : a) {
    INFO(name);
    REQUIRE(t);
    REQUIRE(b.at(name));
    CHECK(reduce(abs(cast(t, DType::f64) - cast(b.at(name), DType::f64)), Reduce::max).item() == 0);
  }
}

}  // namespace

TEST_CASE("checkpointing changes no gradient and no running statistic", "[zoo]") {
  const std::map<std::string, json> cases = case_of_each_family();
  for (const std::string& module : modules()) {
    INFO(module);
    REQUIRE(cases.contains(module));
    const Step kept = step_of(cases.at(module), false), again = step_of(cases.at(module), true);
    CHECK(kept.recomputed == 0);
    CHECK(again.recomputed > 0.5);                 // all but stem and head, in networks of few blocks
    CHECK(again.recomputed < 1);
    check_same(kept.gradients, again.gradients);
    check_same(kept.buffers, again.buffers);
  }
}

}  // namespace fovea::zoo
