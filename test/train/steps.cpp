// SPDX-License-Identifier: Apache-2.0
// test/train/steps.cpp — twenty SGD steps of a real network give the losses that PyTorch gives, eagerly and as one
// compiled graph.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/zoo.h"

using namespace fovea;

namespace {

// As test/golden/record/train_steps.py does it, and says why in two precisions: f64 runs on the plain kernels, f32 on
// the planned ones.
void check_losses(zoo::ImageModel& model, const char* which, DType dtype, bool compiled) {
  std::ifstream file(FOVEA_SOURCE_DIR "/test/golden/real/train_steps.json");
  const nlohmann::json recorded = nlohmann::json::parse(file).at(which).at(std::string(name_of(dtype)));
  const std::vector<double> wanted = recorded.at("losses");
  REQUIRE(wanted.size() == 20);
  model.to(dtype);
  const Tensor images = cast(golden_input({8, 3, 64, 64}), dtype);
  const Tensor targets = arange(0, 56, 7);
  model.train().set_requires_grad();
  train::Optimizer sgd(train::rule("momentum"), model, recorded.at("lr"), 1e-4);
  train::Step step(model, sgd);
  if (compiled) step.compile();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double loss = step({images, targets});
    INFO("step " << i << ": loss " << loss << ", PyTorch's " << wanted[i]);
    CHECK(std::abs(loss - wanted[i]) < 1e-4);
  }
}

}  // namespace

TEST_CASE("twenty SGD steps lose what PyTorch loses", "[train][slow]") {
  const bool compiled = GENERATE(false, true);
  const DType dtype = GENERATE(DType::f64, DType::f32);
  const std::unique_ptr<zoo::ImageModel> model = zoo::create("tf_efficientnet_lite0");
  fill_weights(*model, "", 2.0);
  check_losses(*model, "formula", dtype, compiled);
}

TEST_CASE("twenty SGD steps from real weights lose what PyTorch loses", "[.real]") {
  const bool compiled = GENERATE(false, true);
  const DType dtype = GENERATE(DType::f64, DType::f32);
  const char* folder = std::getenv("FOVEA_LITE_WEIGHTS");
  REQUIRE(folder != nullptr);
  const std::unique_ptr<zoo::ImageModel> model = zoo::create("tf_efficientnet_lite0");
  zoo::load_weights(*model, std::string(folder) + "/lite0.safetensors");
  check_losses(*model, "real", dtype, compiled);
}

TEST_CASE("eager steps go on where a compiled one stopped, and the reverse", "[train]") {
  const auto run = [](bool first, bool second) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet");
    fill_weights(*model);
    model->train().set_requires_grad();
    train::Optimizer sgd(train::rule("momentum"), *model, 0.01);
    const Tensor images = golden_input({2, 3, 64, 64}), targets = arange(0, 2);
    for (const bool compiled : {first, second}) {
      train::Step step(*model, sgd);
      if (compiled) step.compile();
      step({images, targets});
    }
    return train::Step(*model, sgd)({images, targets});
  };
  const double eager = run(false, false);
  CHECK(run(true, false) == Approx(eager).epsilon(1e-5));
  CHECK(run(false, true) == Approx(eager).epsilon(1e-5));
  CHECK(run(true, true) == Approx(eager).epsilon(1e-5));
}

namespace {

// A dropped branch and dropped values, so that every step draws.
std::unique_ptr<zoo::ImageModel> dropping() {
  std::unique_ptr<zoo::ImageModel> model = zoo::create("test_vit", {.drop_rate = 0.3f, .drop_path_rate = 0.3f});
  fill_weights(*model);
  model->train().set_requires_grad();
  return model;
}

}  // namespace

TEST_CASE("steps draw new numbers, the same ones eagerly and compiled", "[train]") {
  const Tensor images = golden_input({4, 3, 64, 64}), targets = arange(0, 4);
  const auto losses = [&](bool compiled, double lr, int64_t drawn = 0) {
    const auto model = dropping();
    train::Optimizer sgd(train::rule("momentum", {{"momentum", 0}}), *model, lr);
    train::Step step(*model, sgd, {.seed = 5});
    if (compiled) step.compile();
    step.set_drawn(drawn);
    std::vector<double> out;
    for (int i = 0; i < 4; ++i) out.push_back(step({images, targets}));
    return out;
  };
  const std::vector<double> still = losses(true, 0);
  for (size_t i = 0; i < still.size(); ++i)                  // the weights do not move, what is dropped does
    for (size_t k = 0; k < i; ++k) CHECK(std::abs(still[i] - still[k]) > 1e-3);
  const std::vector<double> later = losses(true, 0, 2);
  CHECK(later[0] == still[2]);
  const std::vector<double> eager = losses(false, 0.01), compiled = losses(true, 0.01);
  for (size_t i = 0; i < eager.size(); ++i) CHECK(compiled[i] == Approx(eager[i]).epsilon(1e-5));
}

TEST_CASE("one compiled step follows learning rates and decays", "[train]") {
  const Tensor images = golden_input({2, 3, 64, 64}), targets = arange(0, 2);
  const auto losses = [&](bool compiled) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet");
    fill_weights(*model);
    model->to(DType::f64);
    model->train().set_requires_grad();
    train::Optimizer sgd(train::rule("momentum"), train::parameter_groups(*model, {.weight_decay = 0.1}), 0.01);
    train::Step step(*model, sgd);
    if (compiled) step.compile();
    std::vector<double> out;
    for (int i = 0; i < 4; ++i) {
      sgd.set_lr(0.01 * (i + 1));
      sgd.groups()[1].weight_decay = 0.1 * i;
      out.push_back(step({cast(images, DType::f64), targets}));
    }
    return out;
  };
  const std::vector<double> eager = losses(false), compiled = losses(true);
  for (size_t i = 0; i < eager.size(); ++i) CHECK(compiled[i] == Approx(eager[i]).epsilon(1e-9));
  CHECK(std::abs(eager[3] - eager[0]) > 1e-3);
}

TEST_CASE("a batch in parts gives the gradient of the whole", "[train]") {
  const Tensor images = cast(golden_input({4, 3, 64, 64}), DType::f64), targets = arange(0, 4);
  const auto trained = [&](int64_t parts, bool compiled) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_vit");
    fill_weights(*model);
    model->to(DType::f64);
    model->train().set_requires_grad();
    train::Optimizer sgd(train::rule("momentum", {{"momentum", 0}}), *model, 0.05);
    train::Step step(*model, sgd, {.accumulate = parts});
    if (compiled) step.compile();
    for (int i = 0; i < 2; ++i) step({images, targets});
    return step({images, targets});
  };
  const double whole = trained(1, false);
  CHECK(trained(2, false) == Approx(whole).epsilon(1e-9));
  CHECK(trained(4, true) == Approx(whole).epsilon(1e-9));
}

TEST_CASE("an optimizer outlives the classifier that it trained", "[train]") {
  const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet");
  fill_weights(*model);
  model->train().set_requires_grad();
  train::Optimizer sgd(train::rule("momentum"), *model, 0.01);
  model->reset_classifier(3);
  for (const Tensor& t : sgd.leaves()) CHECK(t.has_bytes());
  Gradients none(sgd.leaves().size());
  sgd.step(none, sgd.hyper());
  CHECK(sgd.steps() == 1);
}
