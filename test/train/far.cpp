// SPDX-License-Identifier: Apache-2.0
// test/train/far.cpp — training on devices that the host cannot see into: eager, checkpointed and compiled steps.
#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"
#include "test/support/fill.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::far_device;
using fovea::test::values_of;

namespace {

struct Steps {
  std::vector<double> losses;
  std::vector<std::vector<double>> state;  // parameters, statistics
};

enum class How { eager, compiled, checkpointed };

// Small, with attention, dropped paths and batch norm where a model has them; ref's kernels on either side.
Steps train_on(Device d, const char* name, How how) {
  std::optional<UseBackend> ref;
  if (d == cpu()) ref.emplace("ref");
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(name, {.drop_path_rate = 0.2f});
  fill_weights(*model);
  model->to(d);
  model->train().set_requires_grad();
  train::Optimizer sgd(train::rule("momentum"), *model, 0.01, 1e-4);
  const Tensor images = golden_input({2, 3, 64, 64}).to(d), targets = arange(0, 2, 1, DType::i64, d);
  Steps out;
  train::Step step(*model, sgd);
  if (how == How::compiled) step.compile({.device = d});
  if (how != How::checkpointed) {
    for (int i = 0; i < 2; ++i) out.losses.push_back(step({images, targets}));
  } else {
    for (int i = 0; i < 2; ++i) {
      const Tensor loss = cross_entropy(checkpointed(*model, images), targets);
      backward(loss);
      sgd.step();
      sgd.zero_grad();
      out.losses.push_back(loss.item());
    }
  }
  for (const NamedParameter& p : model->named_state()) {
    CHECK(p.tensor().device() == d);
    out.state.push_back(values_of(p.tensor()));
  }
  return out;
}

}  // namespace

TEST_CASE("far: steps of small models are those of the host", "[far][train][slow]") {
  test::add_far_devices();
  const char* name = GENERATE("test_efficientnet", "test_vit", "test_resnet");
  const How how = GENERATE(How::eager, How::compiled, How::checkpointed);
  INFO(name << " " << static_cast<int>(how));
  const Steps here = train_on(cpu(), name, how), there = train_on(far_device(1), name, how);
  CHECK(there.losses[0] == Approx(here.losses[0]).epsilon(1e-6));
  CHECK(there.losses[1] == Approx(here.losses[1]).epsilon(1e-5));
  REQUIRE(there.state.size() == here.state.size());
  for (size_t i = 0; i < here.state.size(); ++i) CHECK(test::relative_error(there.state[i], here.state[i]) < 1e-4);
}

TEST_CASE("far: values drawn and loaded go where the module is", "[far]") {
  test::add_far_devices();
  const auto model = zoo::create("test_resnet"), other = zoo::create("test_resnet");
  model->to(far_device());
  CHECK_FALSE(model->has_bytes());
  model->materialise(3);
  other->materialise(4);
  const StateDict weights = other->state_dict();
  model->load(weights);
  model->to(DType::f64);
  for (const NamedParameter& p : model->named_state()) {
    CHECK(p.tensor().device() == far_device());
    CHECK(values_of(p.tensor()) == values_of(weights.at(p.name)));
  }
}
