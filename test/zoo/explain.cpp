// SPDX-License-Identifier: Apache-2.0
// test/zoo/explain.cpp — where models look, against what PyTorch computes of timm's; and statistics of what they hold.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/activation_stats.h"
#include "zoo/attention_maps.h"
#include "zoo/class_activation.h"
#include "zoo/zoo.h"

using namespace fovea;

namespace {

nlohmann::json recorded(const char* what) { return read_json(FOVEA_SOURCE_DIR "/test/golden/explain.json").at(what); }

std::unique_ptr<zoo::ImageModel> filled(const std::string& name, double gain = 1, const zoo::ModelOptions& o = {}) {
  std::unique_ptr<zoo::ImageModel> model = zoo::create(name, o);
  fill_weights(*model, "", gain);
  model->eval();
  return model;
}

}  // namespace

TEST_CASE("attention is rolled out as PyTorch does it", "[zoo]") {
  for (const nlohmann::json& wanted : recorded("attention")) {
    INFO(wanted.at("model") << wanted.at("kwargs"));
    const auto model = filled(wanted.at("model"), 1, recorded_options(wanted));
    const auto [channels, height, width] = model->input_size();
    const zoo::AttentionMaps maps = zoo::attention_maps(*model, golden_input({1, channels, height, width}));
    CHECK(maps.rollout.shape() == Shape{wanted.at("grid")[0].get<int64_t>(), wanted.at("grid")[1].get<int64_t>()});
    const auto most = static_cast<double>(amax(maps.rollout).item());
    CHECK(furthest(maps.rollout, wanted.at("rollout")) < 1e-4 * most);
    CHECK(furthest(maps.heads, wanted.at("heads")) < 1e-4 * amax(maps.heads).item());
  }
}

TEST_CASE("models of windows and convnets have no rollout", "[zoo]") {
  CHECK_THROWS_WITH(zoo::attention_maps(*filled("test_resnet"), golden_input({1, 3, 64, 64})),
                    contains_text("does not attend over tokens"));
}

TEST_CASE("class activation is what PyTorch's gradients say", "[zoo]") {
  for (const nlohmann::json& wanted : recorded("activation")) {
    INFO(wanted.at("model"));
    const int64_t size = wanted.at("size");
    const auto model = filled(wanted.at("model"), wanted.at("gain"));
    const zoo::ClassActivation c = zoo::class_activation(*model, golden_input({1, 3, size, size}));
    CHECK(c.label == wanted.at("label"));
    CHECK(furthest(c.map, wanted.at("map")) < 1e-3);
    const zoo::ClassActivation other = zoo::class_activation(*model, golden_input({1, 3, size, size}), c.label ? 0 : 1);
    CHECK(furthest(other.map, wanted.at("map")) > 1e-3);
    CHECK_THROWS_WITH(zoo::class_activation(*model, golden_input({1, 3, size, size}), 5000),
                      contains_text("class 5000 of 1000 classes"));
  }
}

TEST_CASE("a class token alone has no class-activation map", "[zoo]") {
  CHECK_THROWS_WITH(zoo::class_activation(*filled("test_vit"), golden_input({1, 3, 160, 160})),
                    contains_text("tokens that stand for no part of the image"));
}

TEST_CASE("statistics find what is dead and what is not finite", "[zoo]") {
  const auto model = filled("test_resnet");
  const auto of = [&](const std::string& module) {
    const std::vector<zoo::ActivationStats> all = zoo::activation_stats(*model, golden_input({1, 3, 64, 64}));
    const auto found = std::ranges::find(all, module, &zoo::ActivationStats::module);
    REQUIRE(found != all.end());
    return *found;
  };
  const zoo::ActivationStats before = of("layer1.0.conv1");
  CHECK(before.not_finite == 0);
  CHECK(before.zeros < 0.01);
  CHECK(before.deviation > 0);
  const Param weight = model->find("layer1.0.conv1")->own_parameters()[0];
  const Tensor kept = *weight;
  weight.set(zeros_like(kept));
  const zoo::ActivationStats dead = of("layer1.0.conv1");
  CHECK(dead.zeros == 1);
  CHECK(dead.deviation == 0);
  weight.set(full(kept.shape(), std::numeric_limits<double>::quiet_NaN()));
  const zoo::ActivationStats broken = of("layer1.0.conv1");
  CHECK(broken.not_finite == numel(broken.shape));
}
