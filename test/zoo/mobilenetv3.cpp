// SPDX-License-Identifier: Apache-2.0
// test/zoo/mobilenetv3.cpp — MobileNetV3 and V4 beyond their recorded figures: the head that convolves behind the
// pooling, block strings of V4, first values, layers, training.
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

constexpr const char* kHybrid =
    "cn_r1_k3_s2_c16 uir_r1_a3_k5_s2_e2_c24+mqa_r1_k3_h4_s1_v2_d8_c24 uir_r1_a5_k0_p3_s2_e2_c32+mha_r1_k3_h4_s1_d8_c32";

std::unique_ptr<ImageModel> hybrid(ModelOptions o = {}) {
  o.num_classes = 5;
  o.set = {{"arch", kHybrid}, {"features", "64"}};
  return create("mobilenetv4_hybrid_medium", o);
}
std::unique_ptr<ImageModel> of(const char* arch) { return create("mobilenetv4_conv_small", {.set = {{"arch", arch}}}); }

const Init& first_values(Module& m, const char* path) {
  Module* found = m.find(path);
  REQUIRE(found);
  return found->own_parameters()[0].slot().init;
}

}  // namespace

TEST_CASE("a head that convolves behind the pooling gets another classifier", "[zoo]") {
  for (const char* name : {"mobilenetv3_small_050", "mobilenetv4_conv_small_035"}) {
    CAPTURE(name);
    const auto m = create(name, {.num_classes = 7, .in_chans = 2});
    const int hidden = m->head_hidden_size();
    m->materialise();
    const Tensor image = golden_input({2, 2, 96, 64});
    REQUIRE((*m)(image).shape() == Shape{2, 7});
    REQUIRE(m->forward_features(image).shape() == Shape{2, m->num_features(), 3, 2});
    m->reset_classifier(3, "max");
    m->materialise();
    REQUIRE(m->global_pool() == "max");
    REQUIRE((*m)(image).shape() == Shape{2, 3});
    m->reset_classifier(4);
    m->materialise();
    REQUIRE(m->global_pool() == "max");
    REQUIRE(m->num_classes() == 4);
    // its convolution was made for as many channels as the pooling gave
    REQUIRE_THROWS_AS(m->reset_classifier(3, "catavgmax"), Error);
    REQUIRE((*m)(image).shape() == Shape{2, 4});
    m->reset_classifier(0, "");
    REQUIRE((*m)(image).shape() == Shape{2, hidden, 3, 2});
    REQUIRE(m->head_hidden_size() == hidden);
    REQUIRE_THROWS_AS(m->reset_classifier(-1), Error);
  }
  const auto wide = create("mobilenetv3_small_050", {.global_pool = "catavgmax"});
  wide->materialise();
  const Tensor image = golden_input({1, 3, 64, 64});
  REQUIRE(wide->forward_head(wide->forward_features(image), true).shape() == Shape{1, wide->head_hidden_size()});
  wide->reset_classifier(2, "fastcatavgmax");
  wide->materialise();
  REQUIRE_THROWS_AS(wide->reset_classifier(2, "avg"), Error);
  REQUIRE((*wide)(image).shape() == Shape{1, 2});
}

TEST_CASE("where the universal block strides", "[zoo]") {
  const auto m = hybrid();
  REQUIRE(m->find("blocks.1.0.dw_start.conv"));
  REQUIRE(dynamic_cast<Conv2d*>(m->find("blocks.1.0.dw_start.conv"))->options().stride == Size2(1));
  REQUIRE(dynamic_cast<Conv2d*>(m->find("blocks.1.0.dw_mid.conv"))->options().stride == Size2(2));
  REQUIRE(dynamic_cast<Conv2d*>(m->find("blocks.2.0.dw_start.conv"))->options().stride == Size2(2));
  REQUIRE(m->find("blocks.2.0.dw_mid") == nullptr);
  REQUIRE(dynamic_cast<Conv2d*>(m->find("blocks.2.0.dw_end.conv"))->options().stride == Size2(1));
  const auto late = of("uir_r1_k0_p3_s2_e2_c32");
  REQUIRE(dynamic_cast<Conv2d*>(late->find("blocks.0.0.dw_end.conv"))->options().stride == Size2(2));
  REQUIRE(m->feature_info().back().reduction == 16);
  const auto plain = of("cn_r1_k3_s2_c16 uir_r1_a3_k5_s2_e3_c24");
  const FeatureInfo& widest = plain->feature_info(TapKind::expansion).back();
  REQUIRE(widest.channels == 48);
  REQUIRE(widest.module == "blocks.1.0.pw_proj.conv");
}

TEST_CASE("block strings that make no MobileNetV4", "[zoo]") {
  for (const char* arch : {"uir_r1_k0_s2_e4_c32", "uir_r1_a3.5_k3_s1_e4_c32", "mqa_r1_k3_h4_s1_c32",
                           "mqa_r1_k3_s1_d8_c32", "mqa_r1_k3_h4_s1_v0_d8_c32", "mqa_r1_k3.5_h4_s1_d8_c32",
                           "mha_r1_k3_h5_s1_d8_c32", "ir_r1_k3_s1_e4_h4_c32", "uix_r1_k3_s1_e4_c32"}) {
    CAPTURE(arch);
    REQUIRE_THROWS_AS(of(arch), Error);
  }
}

TEST_CASE("first values of MobileNetV4 are timm's", "[zoo]") {
  const auto m = hybrid();
  const auto he = [](double fan_out) { return init::normal(std::sqrt(2 / fan_out)); };
  REQUIRE(first_values(*m, "blocks.1.0.dw_mid.conv") == he(25));
  REQUIRE(first_values(*m, "blocks.1.0.pw_exp.conv") == he(32));
  REQUIRE(first_values(*m, "blocks.2.1.attn.qkv") == he(96));
  REQUIRE(first_values(*m, "conv_head") == he(64));
  // multi-query attention keeps its own
  REQUIRE(first_values(*m, "blocks.1.1.attn.query.proj") == init::xavier_uniform({32, 24, 1, 1}));
  REQUIRE(first_values(*m, "blocks.1.1.attn.key.down_conv") == init::xavier_uniform({24, 1, 3, 3}));
  REQUIRE(first_values(*m, "blocks.1.1.layer_scale") == init::constant(1e-5));
  REQUIRE(first_values(*m, "classifier") == init::uniform(-1 / std::sqrt(5.0), 1 / std::sqrt(5.0)));
}

TEST_CASE("parameters of mobile networks by layer", "[zoo]") {
  const auto layers = [](const char* name, bool coarse) {
    std::map<std::string, int> layer;
    for (const auto& [parameter, number] : layer_numbers(*create(name), coarse)) layer[parameter] = number;
    return layer;
  };
  const auto v3 = layers("mobilenetv3_small_100", false), stages = layers("mobilenetv3_small_100", true);
  REQUIRE(v3.at("conv_stem.weight") == 0);
  REQUIRE(v3.at("bn1.bias") == 0);
  REQUIRE(v3.at("blocks.1.0.bn1.weight") == 2);
  REQUIRE(v3.at("blocks.5.0.conv.weight") == 12);
  REQUIRE(v3.at("conv_head.weight") == 13);
  REQUIRE(v3.at("classifier.weight") == 13);
  REQUIRE(stages.at("blocks.5.0.conv.weight") == 6);
  const auto b0 = layers("efficientnet_b0", false);
  REQUIRE(b0.at("conv_head.weight") == b0.at("blocks.6.0.bn3.weight"));
  REQUIRE(b0.at("classifier.weight") == b0.at("conv_head.weight") + 1);
}

TEST_CASE("a MobileNetV4 trains: dropped paths, recomputed stages", "[zoo]") {
  const Tensor image = golden_input({2, 3, 64, 96});
  const auto slopes = [&](bool recompute) {
    const auto m = hybrid({.drop_rate = 0.2f, .drop_path_rate = 0.5f, .checkpointing = recompute});
    fill_weights(*m);
    m->train();
    m->seed(3);
    m->set_requires_grad();
    backward(mean(square((*m)(image))));
    std::map<std::string, double> of_parameter;
    for (const NamedParameter& p : m->named_parameters()) of_parameter[p.name] = norm(p.tensor().grad(), {}).item();
    return of_parameter;
  };
  const auto kept = slopes(false), again = slopes(true);
  for (const auto& [name, slope] : kept) {
    CAPTURE(name);
    REQUIRE(std::isfinite(slope));
    REQUIRE(again.at(name) == Approx(slope).margin(1e-9));
  }
  REQUIRE(kept.at("conv_stem.weight") > 0);
  REQUIRE(kept.at("blocks.1.1.attn.key.proj.weight") > 0);
}

}  // namespace fovea::zoo
