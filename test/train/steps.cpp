// SPDX-License-Identifier: Apache-2.0
// test/train/steps.cpp — twenty SGD steps of a real network give the losses that PyTorch gives, eagerly and as one
// compiled graph.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
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
  train::SGD sgd(model.parameters(), {.lr = recorded.at("lr"), .momentum = 0.9, .weight_decay = 1e-4});
  std::unique_ptr<train::CompiledStep> step;
  if (compiled) step = std::make_unique<train::CompiledStep>(model, sgd, images.meta(), targets.meta());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double loss = compiled ? (*step)(images, targets) : train::eager_step(model, sgd, images, targets);
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

TEST_CASE("a compiled step gives its state back", "[train]") {
  const auto run = [](bool compiled) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create("test_efficientnet");
    fill_weights(*model);
    model->train().set_requires_grad();
    train::SGD sgd(model->parameters(), {.lr = 0.01, .momentum = 0.9});
    const Tensor images = golden_input({2, 3, 64, 64}), targets = arange(0, 2);
    if (compiled) {
      train::CompiledStep step(*model, sgd, images.meta(), targets.meta());
      step(images, targets);
      step.store();
    } else {
      train::eager_step(*model, sgd, images, targets);
    }
    return train::eager_step(*model, sgd, images, targets);
  };
  CHECK(run(true) == Approx(run(false)).epsilon(1e-5));
}
