// SPDX-License-Identifier: Apache-2.0
// test/zoo/mobile_hybrids.cpp — small networks of convolutions and attention: weights as others wrote them, two
// classifiers, and images and settings that do not fit.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/distilled_model.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

const Settings kLevit{{"embed_dim", "32,48,64"}, {"depth", "1,1,1"}, {"num_heads", "2,3,4"}, {"key_dim", "8"}},
    kFormer{{"depths", "1,1,1,2"}, {"embed_dims", "8,16,24,32"}};

std::unique_ptr<ImageModel> small(const char* name, const Settings& set, std::optional<std::array<int, 2>> size = {}) {
  return create(name, {.num_classes = 5, .img_size = size, .set = set});
}

// `theirs` of a filled model loads into another of the same settings.
void check_originals(const char* name, const Settings& set, std::span<const Rename> rows, const char* one_of_theirs) {
  const auto filled = small(name, set), other = small(name, set);
  const StateDict own = filled_weights(*filled), theirs = rename(own, rows);
  REQUIRE(theirs.contains(one_of_theirs));
  REQUIRE_FALSE(own.contains(one_of_theirs));
  check_loads(*other, theirs, own);
}

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

TEST_CASE("of two classifiers the mean counts", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 64, 64});
  for (const char* name : {"levit_128s", "levit_conv_128s"}) {
    const auto m = small(name, kLevit, std::array{64, 64});
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
  refused("levit_128s", {{"stem_type", "s4"}}, "stem_type");
}

}  // namespace fovea::zoo
