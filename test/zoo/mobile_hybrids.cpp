// SPDX-License-Identifier: Apache-2.0
// test/zoo/mobile_hybrids.cpp — small networks of convolutions and attention: weights as others wrote them, two
// classifiers, and images and settings that do not fit.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/small_hybrids.h"
#include "zoo/blocks/distilled_model.h"

namespace fovea::zoo {
namespace {

const Settings kLevit{{"embed_dim", "32,48,64"}, {"depth", "1,1,1"}, {"num_heads", "2,3,4"}, {"key_dim", "8"}},
    kFormer{{"depths", "1,1,1,2"}, {"embed_dims", "8,16,24,32"}},
    kFast{{"layers", "1,1,1,1"}, {"embed_dims", "8,16,32,64"}, {"mlp_ratios", "1,1,1,1"}},
    kTiny{{"embed_dims", "16,32,48,64"}, {"depths", "1,1,1,1"}, {"num_heads", "1,2,3,4"}},
    kNext{{"stem_chs", "16,8,16"}, {"depths", "1,1,5,1"}},
    kIFormer{{"dims", "16,24,32,48"}, {"depths", "1,1,5,3"}, {"attn_groups", "0,0,1,1"}};

constexpr Rename kNetwork[] = {{"^stages.0.blocks", "network.0"},        {"^stages.1.downsample", "network.1"},
                               {"^stages.1.blocks", "network.2"},        {"^stages.2.downsample", "network.3"},
                               {"^stages.2.blocks", "network.4"},        {"^stages.3.downsample", "network.5"},
                               {"^stages.3.blocks", "network.6"},        {"^head_dist", "dist_head"},
                               {"layer_scale_1.gamma", "layer_scale_1"}, {"layer_scale_2.gamma", "layer_scale_2"},
                               {"layer_scale.gamma", "layer_scale"}};

std::string refusal(ImageModel& m, const Shape& image) {
  try {
    m(zeros(image));
  } catch (const Error& e) { return e.what(); }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("LeViT leaves out the distances that older files hold", "[zoo]") {
  const auto filled = small("levit_128s", kLevit, std::array{64, 64}),
             other = small("levit_128s", kLevit, std::array{64, 64});
  const StateDict own = filled_weights(*filled);
  StateDict theirs = own;
  theirs.set("stages.0.blocks.0.attn.attention_bias_idxs", zeros({16, 16}, DType::i64));
  check_loads(*other, theirs, own);
}

TEST_CASE("EfficientFormer of its authors counts what lies between the stages", "[zoo]") {
  std::vector<Rename> rows{{"ls1.gamma", "layer_scale_1"},        {"ls2.gamma", "layer_scale_2"},
                           {"^stem.conv1", "patch_embed.0"},      {"^stem.norm1", "patch_embed.1"},
                           {"^stem.conv2", "patch_embed.3"},      {"^stem.norm2", "patch_embed.4"},
                           {"downsample.conv", "downsample.proj"}};
  rows.insert(rows.end(), std::begin(kNetwork), std::end(kNetwork));
  check_originals("efficientformer_l1", kFormer, rows, "network.5.proj.weight");
  const auto filled = small("efficientformer_l1", kFormer), other = small("efficientformer_l1", kFormer);
  const StateDict own = filled_weights(*filled);
  StateDict theirs = rename(own, rows);
  change(theirs, "network.0.0.layer_scale_1", [](const Tensor& t) { return reshape(t, {-1, 1, 1}); });
  check_loads(*other, theirs, own);
}

TEST_CASE("SwiftFormer of its authors", "[zoo]") {
  std::vector<Rename> rows{{"^stem", "patch_embed"}, {"attn.proj", "attn.Proj"}};
  rows.insert(rows.end(), std::begin(kNetwork), std::end(kNetwork));
  check_originals("swiftformer_xs", {{"layers", "2,1,1,1"}, {"embed_dims", "8,16,24,32"}}, rows,
                  "network.2.0.attn.Proj.weight");
}

TEST_CASE("FastViT of its authors, and MobileCLIP's image encoder", "[zoo]") {
  constexpr Rename rows[] = {{"^stages.0.blocks", "network.0"},
                             {"^stages.1.downsample", "network.1"},
                             {"^stages.1.blocks", "network.2"},
                             {"^stages.2.downsample", "network.3"},
                             {"^stages.2.blocks", "network.4"},
                             {"^stages.3.downsample", "network.5"},
                             {"^stages.3.pos_emb.pos_enc", "network.6.pe"},
                             {"^stages.3.blocks", "network.7"},
                             {"^final_conv", "conv_exp"},
                             {"conv_kxk", "rbr_conv"},
                             {"conv_scale", "rbr_scale"},
                             {"identity", "rbr_skip"},
                             {"large_conv", "lkb_origin"},
                             {"mlp", "convffn"},
                             {"se.fc1", "se.reduce"},
                             {"se.fc2", "se.expand"},
                             {"layer_scale.gamma", "layer_scale"},
                             {"layer_scale_#.gamma", "layer_scale_$1"},
                             {"^stem", "patch_embed"},
                             {"^head.fc", "head"}};
  check_originals("fastvit_sa12", kFast, rows, "network.6.pe.weight");

  const auto filled = small("fastvit_mci0", kFast), other = small("fastvit_mci0", kFast);
  StateDict theirs, want = filled_weights(*filled);
  for (const auto& [name, t] : rename(want, rows)) theirs.set("image_encoder.model." + name, t);
  theirs.set("image_encoder.model.head.proj", transpose(theirs.at("image_encoder.model.head.weight"), 0, 1));
  theirs.erase("image_encoder.model.head.weight");
  theirs.erase("image_encoder.model.head.bias");
  theirs.set("text_encoder.weight", zeros({2}));
  want.set("head.fc.bias", zeros({5}));
  check_loads(*other, theirs, want);

  const auto trunk = small("fastvit_mci0", kFast);
  StateDict tower;
  for (const auto& [name, t] : want) tower.set("module.visual.trunk." + name, t);
  tower.set("module.logit_scale", zeros({1}));
  check_loads(*trunk, tower, want);
}

TEST_CASE("iFormer of its authors", "[zoo]") {
  constexpr Rename rows[] = {{"^stem.conv1", "downsample_layers.0.0"},
                             {"^stem.conv2", "downsample_layers.0.2.conv_exp_bn1"},
                             {"^stem.conv3", "downsample_layers.0.2.conv_pwl_bn2"},
                             {"^stages.#.downsample", "downsample_layers.$1.0"},
                             {"^stages.#.blocks.#", "stages.$1.$2.block"},
                             {"mixer", "token_channel_mixer"},
                             {"module", "m"},
                             {"^head.head_dist", "classifier.classifier_dist"},
                             {"^head.head", "classifier.classifier"}};
  check_originals("iformer_m_distilled", kIFormer, rows, "stages.2.1.block.cpe.m.c.weight");
  constexpr Rename one[] = {{"^head.head", "classifier"}};
  check_originals("iformer_t", kIFormer, one, "classifier.bn.weight");
}

TEST_CASE("Next-ViT of its authors has the same tensors in the same order", "[zoo]") {
  constexpr Rename rows[] = {{"^stages.#.blocks", "features.$1"}, {"fc1", "conv1"}, {"fc2", "conv2"}};
  check_originals("nextvit_small", kNext, rows, "features.0.0.mlp.conv1.weight");
}

TEST_CASE("TinyViT takes biases of other windows, and leaves out the distances that older files hold", "[zoo]") {
  const auto filled = small("tiny_vit_5m_224", kTiny), other = small("tiny_vit_5m_224", kTiny);
  const StateDict own = filled_weights(*filled);
  StateDict theirs = own, want = own;
  theirs.set("stages.1.blocks.0.attn.attention_bias_idxs", zeros({49, 49}, DType::i64));
  check_loads(*other, theirs, own);
  // torch.nn.functional.interpolate(..., mode="bicubic", antialias=True) leaves what is the same everywhere as it is
  constexpr const char* kName = "stages.1.blocks.0.attn.attention_biases";
  theirs.set(kName, affine(zeros({2, 144}), 1, 0.5));
  want.set(kName, affine(zeros({2, 49}), 1, 0.5));
  CHECK(load_weights(*other, theirs, "larger windows").clean());
  CHECK(golden::largest_difference(other->state_dict().at(kName), want.at(kName)) < 1e-6);
}

TEST_CASE("MobileNetV5 out of Gemma 3n, and an encoder that has no classifier", "[zoo]") {
  const Settings set{{"channel_multiplier", "0.125"}, {"num_features", "32"}};
  const auto filled = small("mobilenetv5_300m_enc", set), other = small("mobilenetv5_300m_enc", set);
  const StateDict own = filled_weights(*filled);
  StateDict theirs;
  for (const auto& [name, t] : own) theirs.set("model.vision_tower.timm_model." + name, t);
  theirs.set("model.language_model.norm.weight", zeros({1}));
  check_loads(*other, theirs, own);
  CHECK(other->num_classes() == 0);
  CHECK_THROWS_WITH(other->reset_classifier(3), contains_text("no classifier"));
  const NoGrad no_grad;
  CHECK((*other)(zeros({1, 3, 64, 64})).shape() == Shape{1, 32, 16, 16});
}

TEST_CASE("of two classifiers the mean counts", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 64, 64});
  for (const char* name : {"levit_128s", "levit_conv_128s", "iformer_m_distilled"}) {
    const bool levit = std::string_view(name).starts_with("levit");
    const auto m = levit ? small(name, kLevit, std::array{64, 64}) : small(name, kIFormer);
    fill_weights(*m);
    auto& two = dynamic_cast<DistilledModel&>(*m);
    const Tensor features = m->forward_features(image);
    const auto [a, b] = two.heads(features);
    CHECK(golden::largest_difference(a, b) > 1e-3);
    CHECK(golden::largest_difference((a + b) * 0.5, (*m)(image)) < 1e-6);
    m->reset_classifier(0);
    CHECK(golden::largest_difference((*m)(image), m->forward_head(features, true)) == 0);
    CHECK_THROWS_AS(m->reset_classifier(3, "max"), Error);
  }
}

TEST_CASE("an EfficientFormer that ends at a map pools it", "[zoo]") {
  const NoGrad no_grad;
  const auto m = small("efficientformer_l1", kFormer), whole = small("efficientformer_l1", kFormer);
  fill_weights(*m);
  fill_weights(*whole);
  const Tensor image = golden_input({1, 3, 224, 224});
  CHECK(m->prune({.indices = {1}}) == std::vector<int>{1});
  const Tensor map = whole->forward_intermediates(image, {.indices = {1}}).features[0];
  CHECK(golden::largest_difference((*m)(image), map) == 0);
  CHECK_FALSE(m->state_dict().contains("norm.weight"));
  m->reset_classifier(0, "avg");
  CHECK(golden::largest_difference((*m)(image), mean(map, {2, 3})) < 1e-5);
}

TEST_CASE("images that attention was not made for are refused with what helps", "[zoo]") {
  const auto levit = small("levit_128s", kLevit, std::array{64, 64});
  const auto conv = small("levit_conv_128s", kLevit, std::array{64, 64});
  const auto bot = create("botnet26t_256", {.img_size = std::array{64, 64}, .set = {{"width_factor", "0.25"}}});
  const auto table =
      create("lambda_resnet26rpt_256", {.img_size = std::array{64, 64}, .set = {{"width_factor", "0.25"}}});
  for (const auto& m : {levit.get(), conv.get(), bot.get(), table.get()}) {
    fill_weights(*m);
    CHECK_THAT(refusal(*m, {1, 3, 96, 64}), contains_text("img_size") && contains_text("met"));
    CHECK((*m)(zeros({1, 3, 64, 64})).dim(0) == 1);
  }
  const auto halo = create("halonet26t", {.set = {{"width_factor", "0.25"}}});
  fill_weights(*halo);
  CHECK_THAT(refusal(*halo, {1, 3, 96, 128}), contains_text("does not divide into blocks of 8 x 8"));
  CHECK_THROWS_WITH(small("efficientformer_l1", kFormer, std::array{256, 256}), contains_text("224 x 224"));
}

TEST_CASE("settings that make no mobile network", "[zoo]") {
  const auto refused = [](const char* name, const Settings& set, const char* why) {
    CHECK_THROWS_WITH(create(name, {.set = set}), contains_text(why));
  };
  refused("halonet26t", {{"blocks", "halo_c64_br1_bs0"}}, "0 where there is none");
  refused("halonet26t", {{"blocks", "mvit_c64_t32_p2"}}, "MobileViT has");
  refused("halonet26t", {{"blocks", "bot_c64_br1"}}, "give img_size");
  refused("mobilevit_xxs", {{"blocks", "mvit_c16_gs3_t32_p2"}}, "groups of 3");
  refused("efficientformerv2_s0", {{"mlp_ratios", "4,4,4x4,4"}}, "mlp_ratios");
  refused("efficientformerv2_s0", {{"mlp_ratios", "4,4"}}, "mlp_ratios");
  refused("efficientformer_l1", {{"num_vit", "0"}}, "num_vit");
  refused("fastvit_t8", {{"layers", "1,1,1"}}, "stages");
  refused("fastvit_t8", {{"token_mixers", "repmixer,pooling,repmixer,attention"}}, "token_mixers");
  refused("shvit_s1", {{"types", "s,s"}}, "types");
  refused("iformer_t", {{"attn_groups", "0,0,6,2"}}, "three blocks");
  refused("mobilenetv5_base", {{"msfa_indices", "-2,5"}}, "5 levels");
  refused("levit_128s", {{"stem_type", "s4"}}, "stem_type");
}

}  // namespace fovea::zoo
