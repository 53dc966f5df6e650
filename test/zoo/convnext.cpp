// SPDX-License-Identifier: Apache-2.0
// test/zoo/convnext.cpp — ConvNeXt beyond its recorded figures: options, first values, foreign names, layers, training.
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "weights_tools/rename.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

std::unique_ptr<ImageModel> filled(const char* name, const ModelOptions& o = {}) {
  auto m = create(name, o);
  fill_weights(*m);
  return m;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && reduce(abs(a - b), Reduce::max).item() == 0;
}

void check_same(const StateDict& ours, const StateDict& other) {
  CHECK(ours.size() == other.size());
  for (const auto& [name, t] : ours) {
    CAPTURE(name);
    REQUIRE(other.contains(name));
    CHECK(same(t, other.at(name)));
  }
}

constexpr Rename kToOriginal[] = {
    {"^stem.", "downsample_layers.0."},
    {"^stages.#.downsample.#", "downsample_layers.$1.$2"},
    {"^stages.#.blocks.#", "stages.$1.$2"},
    {"conv_dw", "dwconv"},
    {"mlp.fc#", "pwconv$1"},
    {"mlp.grn.bias", "grn.beta"},
    {"mlp.grn.weight", "grn.gamma"},
    {"^head.fc", "head"},
    {"^head.norm", "norm"},
};

// As the original code saves them: linear layers, and axes for the map around GRN's parameters.
StateDict as_original(const StateDict& own) {
  StateDict w = rename(own, kToOriginal);
  for (const std::string& name : w.names()) {
    const Tensor t = w.at(name);
    if (name.find("pwconv") != std::string::npos && t.rank() == 4) w.set(name, flatten(t, 1));
    if (name.find(".grn.") != std::string::npos) w.set(name, reshape(t, {1, 1, 1, -1}));
  }
  return w;
}

}  // namespace

TEST_CASE("output strides of a ConvNeXt", "[zoo]") {
  const auto reductions = [](int stride) {
    const auto m = create("convnext_atto", {.output_stride = stride});
    std::vector<int> r;
    for (const FeatureInfo& level : m->feature_info()) r.push_back(level.reduction);
    return r;
  };
  CHECK(reductions(32) == std::vector<int>{4, 8, 16, 32});
  CHECK(reductions(16) == std::vector<int>{4, 8, 16, 16});
  CHECK(reductions(8) == std::vector<int>{4, 8, 8, 8});
}

TEST_CASE("classes, channels and pooling of a ConvNeXt change", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 1, 96, 64});
  for (const char* name : {"test_convnext", "convnext_atto", "convnext_tiny_hnf"}) {
    CAPTURE(name);
    const auto m = filled(name, {.num_classes = 7, .in_chans = 1, .global_pool = "max"});
    CHECK(m->global_pool() == "max");
    CHECK((*m)(image).shape() == Shape{2, 7});
    m->reset_classifier(3, "avg");
    m->materialise();
    CHECK((*m)(image).shape() == Shape{2, 3});
    m->reset_classifier(0, "");
    CHECK((*m)(image).shape() == Shape{2, m->num_features(), 3, 2});
    REQUIRE_THROWS_AS(m->reset_classifier(-1), Error);
  }
  REQUIRE_THROWS_AS(create("test_convnext", {.global_pool = "catavgmax"}), Error);
}

TEST_CASE("a head with a hidden layer keeps it when it loses its pooling", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({1, 3, 64, 64});
  const auto m = filled("test_convnext", {.num_classes = 5, .set = {{"head_hidden_size", "24"}}});
  CHECK(m->head_hidden_size() == 24);
  const Tensor pooled = m->forward_head(mean(m->forward_features(image), {2, 3}, keep_dims), true);
  m->reset_classifier(5, "");
  m->materialise();
  CHECK((*m)(image).shape() == Shape{1, 5, 2, 2});
  const Tensor map = m->forward_head(mean(m->forward_features(image), {2, 3}, keep_dims), true);
  REQUIRE(map.shape() == Shape{1, 24, 1, 1});
  CHECK(reduce(abs(flatten(map, 1) - pooled), Reduce::max).item() < 1e-5);
  m->reset_classifier(5, "avg");
  m->materialise();
  CHECK((*m)(image).shape() == Shape{1, 5});
}

TEST_CASE("first values of a ConvNeXt are timm's", "[zoo]") {
  const auto m = create("convnext_atto", {.num_classes = 10}), v2 = create("convnextv2_atto"),
             scaled = create("test_convnext", {.set = {{"head_init_scale", "0.5"}}});
  for (ImageModel* each : {m.get(), v2.get(), scaled.get()}) each->materialise(3);
  const auto all = [](ImageModel& model, const char* name, double value) {
    const Tensor t = model.state_dict().at(name);
    for (const float v : t.data<float>()) REQUIRE(v == static_cast<float>(value));
  };
  const auto deviation = [](ImageModel& model, const char* name) {
    return std::sqrt(var(reshape(model.state_dict().at(name), {-1}), {0}).item());
  };
  for (const char* name : {"stages.3.blocks.1.conv_dw.weight", "stages.3.blocks.1.mlp.fc1.weight",
                           "stages.2.downsample.1.weight", "head.fc.weight", "stem.0.weight"}) {
    CAPTURE(name);
    CHECK(deviation(*m, name) == Approx(0.02).epsilon(0.05));
  }
  CHECK(deviation(*scaled, "head.fc.weight") == Approx(0.01).epsilon(0.02));
  CHECK(deviation(*scaled, "stages.3.blocks.0.mlp.fc1.weight") == Approx(0.02).epsilon(0.02));
  all(*m, "stages.0.blocks.0.gamma", 1e-6);
  all(*m, "stages.0.blocks.0.conv_dw.bias", 0);
  all(*m, "stages.0.blocks.0.mlp.fc2.bias", 0);
  all(*m, "head.fc.bias", 0);
  all(*m, "head.norm.weight", 1);
  all(*v2, "stages.1.blocks.1.mlp.grn.weight", 0);
  all(*v2, "stages.1.blocks.1.mlp.grn.bias", 0);
  CHECK_FALSE(v2->state_dict().contains("stages.0.blocks.0.gamma"));
}

TEST_CASE("the last norm of a ConvNeXt fits its last level only", "[zoo]") {
  const NoGrad no_grad;
  const auto m = filled("convnext_tiny_hnf", {.set = {{"depths", "1,1,1,1"}, {"dims", "24,24,24,24"}}});
  const Tensor image = golden_input({1, 3, 64, 64});
  const Intermediates plain = m->forward_intermediates(image), normed = m->forward_intermediates(image, {.norm = true});
  REQUIRE(normed.features.size() == 4);
  for (size_t i = 0; i < 3; ++i) CHECK(same(plain.features[i], normed.features[i]));
  CHECK_FALSE(same(plain.features[3], normed.features[3]));
  CHECK(same(normed.features[3], normed.final));
  const Intermediates early = m->forward_intermediates(image, {.indices = {1, -3}, .stop_early = true});
  CHECK(same(early.final, plain.features[1]));
  REQUIRE(early.features.size() == 1);  // one level under two names
  CHECK(same(early.features[0], plain.features[1]));
}

TEST_CASE("parameters of a ConvNeXt by layer", "[zoo]") {
  const auto numbers = [](bool coarse) {
    std::map<std::string, int> layer;
    for (const auto& [name, number] : layer_numbers(*create("convnext_tiny_hnf"), coarse)) layer[name] = number;
    return layer;
  };
  const std::map<std::string, int> fine = numbers(false), coarse = numbers(true);
  CHECK(fine.at("stem.0.weight") == 0);
  CHECK(fine.at("stages.0.blocks.0.gamma") == 1);
  CHECK(fine.at("stages.1.downsample.1.weight") == 4);   // with the block that it is for
  CHECK(fine.at("stages.1.blocks.0.gamma") == 4);
  CHECK(fine.at("stages.3.blocks.2.norm.bias") == 18);
  CHECK(fine.at("norm_pre.weight") == 18);
  CHECK(fine.at("head.fc.weight") == 19);
  CHECK(coarse.at("stages.3.downsample.0.weight") == 4);
  CHECK(coarse.at("norm_pre.weight") == 5);
  CHECK(coarse.at("head.fc.weight") == 5);
}

TEST_CASE("weights of the original ConvNeXt code are understood", "[zoo]") {
  for (const char* name : {"convnextv2_atto", "convnext_atto", "test_convnext2"}) {
    CAPTURE(name);
    const auto m = filled(name, {.num_classes = 10}), other = create(name, {.num_classes = 10});
    StateDict theirs = as_original(m->state_dict());
    theirs.set("projectors.0.weight", zeros({4, 4}));      // what distillation leaves behind
    theirs.set("norms.3.weight", zeros({4}));
    REQUIRE(theirs.contains("downsample_layers.3.1.weight"));
    REQUIRE(theirs.contains("stages.2.0.pwconv2.bias"));
    CHECK(load_weights(*other, theirs, "the original").clean());
    check_same(m->state_dict(), other->state_dict());
    CHECK(load_weights(*other, m->state_dict(), "ours").clean());
  }
}

TEST_CASE("OpenCLIP's projections become a ConvNeXt's head", "[zoo]") {
  const ModelOptions hidden{.num_classes = 6, .set = {{"head_hidden_size", "24"}}};
  for (const ModelOptions& o : {ModelOptions{.num_classes = 6}, hidden}) {
    const bool deep = !o.set.empty();
    CAPTURE(deep);
    const auto m = filled("test_convnext", o), other = create("test_convnext", o);
    const StateDict own = m->state_dict();
    StateDict theirs;
    for (const auto& [name, t] : own)
      if (!name.starts_with("head.fc") && !name.starts_with("head.pre_logits"))
        theirs.set(str_cat("visual.trunk.", name), t);
    if (deep)
      for (const char* part : {"weight", "bias"})
        theirs.set(str_cat("visual.head.mlp.fc1.", part), own.at(str_cat("head.pre_logits.fc.", part)));
    theirs.set(deep ? "visual.head.mlp.fc2.weight" : "visual.head.proj.weight", own.at("head.fc.weight"));
    theirs.set("text.positional_embedding", zeros({4, 4}));
    CHECK(load_weights(*other, theirs, "OpenCLIP").clean());
    const StateDict loaded = other->state_dict();
    CHECK(same(loaded.at("stages.1.blocks.1.mlp.fc2.weight"), own.at("stages.1.blocks.1.mlp.fc2.weight")));
    CHECK(same(loaded.at("head.fc.weight"), own.at("head.fc.weight")));
    CHECK(same(loaded.at("head.fc.bias"), zeros({6})));
    if (deep) CHECK(same(loaded.at("head.pre_logits.fc.bias"), own.at("head.pre_logits.fc.bias")));
  }
}

TEST_CASE("weights of masked auto-encoding come without a head", "[zoo]") {
  const auto m = filled("convnextv2_atto.fcmae", {.num_classes = 10});
  StateDict theirs;
  for (const auto& [name, t] : as_original(m->state_dict()))
    if (!name.starts_with("head") && !name.starts_with("norm.")) theirs.set(name, t);
  const auto other = create("convnextv2_atto.fcmae", {.num_classes = 10});
  REQUIRE_THROWS_WITH(load_weights(*other, theirs, "the original"),
                      contains_text("has no classifier") && contains_text("head.fc.weight"));
  const LoadReport report = load_weights(*other, theirs, "the original", {.fine_tune = true});
  CHECK(report.clean());
  CHECK_THAT(report.summary(), contains_text("10 classes starts anew") && contains_text("head.norm.weight"));
  const StateDict loaded = other->state_dict();
  CHECK(same(loaded.at("stages.3.blocks.0.mlp.grn.weight"), m->state_dict().at("stages.3.blocks.0.mlp.grn.weight")));
  CHECK(same(loaded.at("head.norm.weight"), ones({320})));
  CHECK(std::sqrt(var(reshape(loaded.at("head.fc.weight"), {-1}), {0}).item()) == Approx(0.02).epsilon(0.05));
  REQUIRE_THROWS_AS(load_weights(*create("convnextv2_atto", {.num_classes = 10}), theirs, "the original"), Error);
}

TEST_CASE("a ConvNeXt trains: dropped paths, recomputed stages", "[zoo]") {
  const Tensor image = golden_input({2, 3, 64, 64});
  const auto loss_of = [&](const char* name, bool recompute) {
    const auto m =
        create(name, {.num_classes = 5, .drop_rate = 0.1f, .drop_path_rate = 0.5f, .checkpointing = recompute});
    fill_weights(*m);
    m->train();
    m->seed(3);
    m->set_requires_grad();
    const Tensor loss = mean(square((*m)(image)));
    backward(loss);
    std::pair<double, double> r{loss.item(), 0.0};
    for (const NamedParameter& p : m->named_parameters())
      if (p.name == "stem.0.weight") r.second = norm(p.tensor().grad(), {}).item();
    return r;
  };
  for (const char* name : {"test_convnext", "convnextv2_atto", "convnext_zepto_rms"}) {
    CAPTURE(name);
    const auto [loss, slope] = loss_of(name, false);
    const auto [again, same_slope] = loss_of(name, true);
    REQUIRE(std::isfinite(loss));
    REQUIRE(slope > 0);
    CHECK(again == Approx(loss));
    CHECK(same_slope == Approx(slope));
  }
}

TEST_CASE("settings that make no ConvNeXt", "[zoo]") {
  const auto refused = [](const char* name, const char* setting, const char* value) {
    CAPTURE(name, setting, value);
    REQUIRE_THROWS_AS(create(name, {.set = {{setting, value}}}), Error);
  };
  refused("test_convnext", "depths", "1,0,1,1");
  refused("test_convnext", "dims", "8,8,8");
  refused("test_convnext", "kernel_sizes", "7,7,7,0");
  refused("test_convnext", "patch_size", "0");
  refused("test_convnext", "stem", "roots");
  refused("test_convnext", "norm", "batch");       // wants N,C,H,W
  refused("test_convnext", "norm_eps", "0");
  refused("convnext_tiny_hnf", "head_hidden_size", "8");
  CHECK(create("convnext_atto", {.set = {{"norm", "batch"}}})->state_dict().contains("stem.1.running_var"));
}

}  // namespace fovea::zoo
