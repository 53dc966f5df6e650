// SPDX-License-Identifier: Apache-2.0
// test/zoo/branched_convnets.cpp — networks whose branches are fused: that they answer as before, and that what they
// save loads; weights as other code bases wrote them.
#include "engine/autograd/autograd.h"
#include "nn/fuse.h"
#include "test/golden/runner/figures.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "weights_tools/rename.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

struct Case {
  const char* name;
  ModelOptions options;
  size_t fused_entries;  // of the state dict
  const char* saved;     // the name of a fused layer
  double gain = 1;       // of the convolutions' variance: three branches and more, added up
  size_t fewer = 0;      // steps of the compiled one, where a norm stands in front of several layers
};

std::vector<Case> cases() {
  const std::vector<std::pair<std::string, std::string>> small{{"embed_dim", "16,24,32,48"}, {"depth", "1,1,2,1"}},
      levit{{"embed_dim", "32,48,64"}, {"depth", "1,1,1"}, {"num_heads", "2,3,4"}, {"key_dim", "8"}},
      fast{{"layers", "1,1,1,1"}, {"embed_dims", "16,32,64,128"}, {"mlp_ratios", "2,2,2,2"}};
  return {
      {"repvgg_a0",
       {.num_classes = 7, .set = {{"width_factor", "0.25"}}},
       2 * 22 + 2,
       "stages.0.1.reparam_conv.weight"},
      {"mobileone_s0", {.num_classes = 7}, 2 * 43 + 2, "stages.1.0.reparam_conv.bias"},
      {"ghostnetv3_050", {.num_classes = 7}, 492, "blocks.1.0.conv_dw.weight", 0.25},
      {"lcnetv2_small", {.num_classes = 7}, 157, "stages.3.1.dw_conv.weight"},
      {"repghostnet_050", {.num_classes = 7}, 384, "blocks.0.0.ghost1.cheap_operation.weight"},
      {"repvit_m0_9", {.num_classes = 7, .set = small}, 0, "stages.1.downsample.pre_block.token_mixer.weight"},
      {"repvit_m1", {.num_classes = 7, .set = small}, 0, "head.weight"},
      {"levit_128s",
       {.num_classes = 7, .img_size = std::array{64, 64}, .set = levit},
       0,
       "stages.1.downsample.attn_downsample.q.ln.weight"},
      {"levit_conv_512", {.num_classes = 7, .img_size = std::array{64, 64}, .set = levit}, 0, "stem.conv4.bias"},
      {"fastvit_t8", {.num_classes = 7, .set = fast}, 0, "stages.1.downsample.proj.0.reparam_conv.weight"},
      {"fastvit_mci0", {.num_classes = 7, .set = fast}, 0, "stages.0.blocks.0.token_mixer.reparam_conv.weight"},
      {"shvit_s1",
       {.num_classes = 7, .set = {{"embed_dim", "32,48,64"}, {"partial_dim", "8,12,17"}, {"depth", "1,1,1"}}},
       0,
       "stages.1.downsample.0.weight"},
      {"iformer_m_distilled",
       {.num_classes = 7, .set = {{"dims", "16,24,32,48"}, {"depths", "1,1,5,3"}, {"attn_groups", "0,0,1,1"}}},
       0,
       "stages.2.blocks.1.weight"},
      {"tiny_vit_5m_224",
       {.num_classes = 7, .set = {{"embed_dims", "16,32,48,64"}, {"num_heads", "1,2,3,4"}}},
       0,
       "stages.1.blocks.0.local_conv.weight"},
      {"nextvit_small",
       {.num_classes = 7, .set = {{"stem_chs", "16,8,16"}, {"depths", "1,1,5,1"}}},
       0,
       "stages.3.blocks.0.e_mhsa.q.weight",
       1,
       5},
  };
}

}  // namespace

TEST_CASE("fused networks answer as before, compute less, and load what they saved", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 64, 64});
  for (const Case& c : cases()) {
    INFO(c.name);
    const auto m = create(c.name, c.options), other = create(c.name, c.options);
    m->eval();
    other->eval();
    fill_weights(*m, {}, c.gain);
    const Tensor want = (*m)(image);
    const CompileOptions size{.batch = 2, .height = 64, .width = 64, .target = {}};
    Session before = compile(*m, size);
    CHECK(fuse(*m) > 0);
    CHECK(golden::largest_difference((*m)(image), want) < 1e-4);
    const StateDict saved = m->state_dict();
    CHECK(saved.contains(c.saved));
    if (c.fused_entries) CHECK(saved.size() == c.fused_entries);
    Session after = compile(*m, size);
    CHECK(before.steps().size() == after.steps().size() + c.fewer);
    CHECK(golden::largest_difference(before.run({image})[0], want) < 1e-4);
    CHECK(load_weights(*other, saved, "the fused model").clean());
    CHECK(golden::largest_difference((*other)(image), (*m)(image)) == 0);
    other->reset_classifier(3);
    other->materialise();
    CHECK((*other)(image).shape() == Shape{2, 3});
  }
}

TEST_CASE("fused networks have timm's names, shapes and order", "[zoo]") {
  // FNV-1a of state_lines() after timm.models.reparameterize_model()
  const std::vector<std::pair<const char*, uint64_t>> timm{
      {"mobileone_s0", 0x5d01225b8b6d6006},    {"mobileone_s4", 0xfdf5a4aef7029fec},
      {"repvgg_a0", 0xcd8e3e7bcc8f8f14},       {"repvgg_b1g4", 0xe76da7bc094168e2},
      {"repvgg_d2se", 0x04345a3a3500010c},     {"repvit_m0_9", 0xd9f4ad6d66f29fbf},
      {"repvit_m1", 0xd9f4ad6d66f29fbf},       {"ghostnetv3_050", 0x8d72104f8d471d7f},
      {"ghostnetv3_100", 0x0d300011155d5fa2},  {"lcnetv2_base", 0xf3b6dd779dec1532},
      {"lcnetv2_small", 0x01e476441f085e78},   {"repghostnet_050", 0x0d5512e55f195859},
      {"repghostnet_200", 0x8b02cd85a8a385d0}, {"levit_128s", 0x97806558ee64337b},
      {"levit_conv_256", 0x8d3b02dcd1bb5672},  {"fastvit_t8", 0x1ffd1374bedfb1d1},
      {"fastvit_sa12", 0x922a25e6692b2e87},    {"fastvit_mci0", 0xc2bd619149471953},
      {"fastvit_mci3", 0x107f19fc71c3c38d},    {"shvit_s1", 0xe20b57fa1f569c14},
      {"iformer_t", 0xc01b1b66d1f0d639},       {"iformer_m_distilled", 0x9071f977384e12b8},
      {"tiny_vit_5m_224", 0x550e83de15122ebe}, {"nextvit_small", 0x1da7a46f053f6907},
  };
  for (const auto& [name, hash] : timm) {
    INFO(name);
    const auto m = create(name);
    fuse(*m);
    CHECK(state_hash(*m) == hash);
  }
}

TEST_CASE("branches with norms that look at the image are not fused", "[zoo]") {
  const auto m = create("repvgg_a0", {.set = {{"width_factor", "0.25"}, {"norm_layer", "layer"}}});
  fill_weights(*m);
  CHECK_THROWS_AS(fuse(*m), Error);
  CHECK_FALSE(m->state_dict().contains("stem.reparam_conv.weight"));
}

TEST_CASE("CLIP's image towers become a ByobNet, with or without their pooling", "[zoo]") {
  const ModelOptions small{.num_classes = 5, .set = {{"width_factor", "0.25"}}};
  const auto m = create("resnet50_clip", small), other = create("resnet50_clip", small);
  const auto plain = create("resnet50_clip_gap", small);
  fill_weights(*m);
  const StateDict own = m->state_dict();
  constexpr Rename rows[] = {
      {"^head.pos_embed", "attnpool.positional_embedding"},
      {"^head.proj", "attnpool.c_proj"},
      {"^head.*", "attnpool.$1_proj"},
      {"^stem.conv#.conv", "conv$1"},
      {"^stem.conv#.bn", "bn$1"},
      {"shortcut.conv.conv", "downsample.0"},
      {"shortcut.conv.bn", "downsample.1"},
      {"conv1_1x1.conv", "conv1"},
      {"conv2_kxk.conv", "conv2"},
      {"conv3_1x1.conv", "conv3"},
      {"conv1_1x1.bn", "bn1"},
      {"conv2_kxk.bn", "bn2"},
      {"conv3_1x1.bn", "bn3"},
      {"^stages.0.", "layer1."},
      {"^stages.1.", "layer2."},
      {"^stages.2.", "layer3."},
      {"^stages.3.", "layer4."},
  };
  StateDict theirs;
  for (const auto& [name, t] : rename(own, rows)) theirs.set("visual." + name, t);
  theirs.set("token_embedding.weight", zeros({4, 4}));
  REQUIRE(theirs.contains("visual.layer1.0.downsample.0.weight"));
  REQUIRE(theirs.contains("visual.attnpool.q_proj.weight"));
  CHECK(load_weights(*other, theirs, "CLIP").clean());
  for (const auto& [name, t] : own) {
    INFO(name);
    CHECK(test::values_of(other->state_dict().at(name)) == test::values_of(t));
  }
  CHECK(load_weights(*plain, theirs, "CLIP", {.fine_tune = true}).clean());
  CHECK(test::values_of(plain->state_dict().at("stages.3.2.conv3_1x1.conv.weight")) ==
        test::values_of(own.at("stages.3.2.conv3_1x1.conv.weight")));
}

TEST_CASE("GhostNetV3 takes its original weights, whose branches call their norms otherwise", "[zoo]") {
  const ModelOptions small{.num_classes = 5, .set = {{"width", "0.25"}}};
  const auto m = create("ghostnetv3_100", small), other = create("ghostnetv3_100", small);
  fill_weights(*m);
  const StateDict own = m->state_dict();
  constexpr Rename rows[] = {{"ghost#.**.bn1", "ghost$1.$2.bn"},
                             {"dw_rpr_conv.#.bn1", "dw_rpr_conv.$1.bn"},
                             {"dw_rpr_scale.bn1", "dw_rpr_scale.bn"}};
  StateDict theirs = rename(own, rows);
  for (const char* name :
       {"blocks.1.0.ghost1.primary_rpr_conv.2.bn.weight", "blocks.1.0.ghost2.cheap_rpr_scale.bn.bias",
        "blocks.1.0.dw_rpr_conv.0.bn.weight", "blocks.1.0.dw_rpr_scale.bn.running_var"})
    REQUIRE(theirs.contains(name));
  REQUIRE(theirs.contains("bn1.weight"));
  REQUIRE(theirs.contains("blocks.9.0.bn1.weight"));
  theirs.set("total_ops", zeros({1}));
  theirs.set("blocks.1.0.total_params", zeros({1}));
  CHECK(load_weights(*other, theirs, "the original").clean());
  const StateDict have = other->state_dict();
  for (const auto& [name, t] : own) {
    INFO(name);
    CHECK(test::values_of(have.at(name)) == test::values_of(t));
  }
}

TEST_CASE("CSPNeXt takes OpenMMLab's weights", "[zoo]") {
  const ModelOptions small{.num_classes = 5, .set = {{"widen_factor", "0.125"}, {"depths", "1,1,1,1"}}};
  const auto m = create("cspnext_tiny", small), other = create("cspnext_tiny", small);
  fill_weights(*m);
  const StateDict own = m->state_dict();
  StateDict theirs;
  for (const auto& [name, t] : own) {
    constexpr Rename rows[] = {
        {"^stages.0.", "stage1."}, {"^stages.1.", "stage2."}, {"^stages.2.", "stage3."}, {"^stages.3.", "stage4."}};
    const std::string of = rename(name, rows);
    theirs.set(of.starts_with("head.") ? of : "backbone." + of, t);
  }
  REQUIRE(theirs.contains("backbone.stage4.1.poolings.weight") == false);
  REQUIRE(theirs.contains("backbone.stage4.2.attention.fc.weight"));
  CHECK(load_weights(*other, theirs, "OpenMMLab").clean());
  for (const auto& [name, t] : own) {
    INFO(name);
    CHECK(test::values_of(other->state_dict().at(name)) == test::values_of(t));
  }
}

TEST_CASE("blocks that cannot be are refused with what is wrong", "[zoo]") {
  for (const char* blocks :
       {"", "bottel_c64", "bottle_c", "bottle_c64_q3", "bottle_d0_c64", "basic_c64  basic_c64", "x*basic_c64"}) {
    INFO(blocks);
    CHECK_THROWS_AS(create("test_byobnet", {.set = {{"blocks", blocks}}}), Error);
  }
}

}  // namespace fovea::zoo
