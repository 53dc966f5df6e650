// SPDX-License-Identifier: Apache-2.0
// test/zoo/features.cpp — feature levels of all families: measuring them, and taking some of them as timm does.

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/blocks/vit.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

// As test/golden/record/levels.py makes them.
Tensor recorded_mask(const std::string& word, const ImageModel& m) {
  const auto& tokens = dynamic_cast<const TokenModel&>(m);
  const Size2 grid = tokens.token_grid(m.input_size()[1], m.input_size()[2]);
  const int64_t n = static_cast<int64_t>(grid.h) * grid.w + tokens.prefix_tokens();
  Tensor mask = empty({n, n}, word == "near" ? DType::boolean : DType::f32);
  for (int64_t i = 0; i < n * n; ++i) {
    if (word == "near") mask.mutable_data<bool>()[static_cast<size_t>(i)] = std::abs(i / n - i % n) <= 7;
    else mask.mutable_data<float>()[static_cast<size_t>(i)] = 2 * hash_uniform(fnv1a("mask"), static_cast<uint64_t>(i));
  }
  return mask;
}

FeatureOptions recorded_request(const json& arguments, const ImageModel& m) {
  FeatureOptions o;
  for (const auto& [key, v] : arguments.items()) {
    if (key == "indices" && v.is_array()) o.indices = v.get<std::vector<int>>();
    else if (key == "indices") o.last = v.get<int>();
    else if (key == "norm") o.norm = v.get<bool>();
    else if (key == "stop_early") o.stop_early = v.get<bool>();
    else if (key == "intermediates_only") o.intermediates_only = v.get<bool>();
    else if (key == "output_fmt") o.nchw = v == "NCHW";
    else if (key == "return_prefix_tokens") o.prefix_tokens = v.get<bool>();
    else if (key == "attn_mask") o.mask.mask = recorded_mask(v.get<std::string>(), m);
    else if (key == "is_causal") o.mask.causal = v.get<bool>();
    else FAIL("no option stands for " << key);
  }
  return o;
}

}  // namespace

TEST_CASE("feature levels are measured in the dtype of the model", "[zoo]") {
  for (const char* name : {"test_resnet", "test_vit"}) {
    CAPTURE(name);
    const auto single = create(name), half = create(name);
    half->to(DType::bf16);
    REQUIRE(half->feature_info().size() == single->feature_info().size());
    REQUIRE(half->feature_info().back().channels == single->feature_info().back().channels);
  }
}

TEST_CASE("intermediate values are timm's, whatever is asked for", "[zoo]") {
  const NoGrad no_grad;
  for (const json& c : recorded_cases("levels")) {
    const auto name = c.at("name").get<std::string>();
    const auto m = create(name, recorded_options(c));
    fill_weights(*m);
    const auto size = c.at("input").get<std::array<int64_t, 4>>();
    const Tensor image = golden_input({size[0], size[1], size[2], size[3]});
    for (const json& row : c.at("intermediates")) {
      INFO(name << " " << row.at("arguments").dump());
      const Intermediates got = m->forward_intermediates(image, recorded_request(row.at("arguments"), *m));
      const auto tol = row.at("tol").get<double>();
      CHECK(golden::compare_all("features", row.at("features"), got.features, tol) == "");
      CHECK(golden::compare_all("prefix", row.at("prefix"), got.prefix, tol) == "");
      CHECK(golden::compare_all("final", row.at("final"), got.final ? Tensors{got.final} : Tensors{}, tol) == "");
    }
  }
}

TEST_CASE("networks without attention over tokens take no mask", "[zoo]") {
  const auto m = create("test_resnet");
  fill_weights(*m);
  REQUIRE_THROWS_AS(m->forward_intermediates(golden_input({1, 3, 32, 32}), {.mask = {.causal = true}}), Error);
}

}  // namespace fovea::zoo
