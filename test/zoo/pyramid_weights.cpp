// SPDX-License-Identifier: Apache-2.0
// test/zoo/pyramid_weights.cpp — weights of nets in stages between convolutions and transformers, and of hybrids, as
// others wrote them.
#include "engine/ops/ops.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

struct Pair {
  std::unique_ptr<ImageModel> filled, other;
  StateDict own;
  Pair(const char* name, const Settings& set, std::optional<std::array<int, 2>> size = {}) {
    const ModelOptions o{.num_classes = 5, .img_size = size, .set = set};
    filled = create(name, o);
    other = create(name, o);
    own = filled_weights(*filled);
  }
  void check(const StateDict& theirs, std::string_view one_of_theirs) const {
    REQUIRE(theirs.contains(std::string(one_of_theirs)));
    REQUIRE_FALSE(own.contains(std::string(one_of_theirs)));
    check_loads(*other, theirs, own);
  }
};

const Settings kOnes{{"depths", "1,1,1,1"}};
Settings with(Settings set, const Settings& more) {
  set.insert(set.end(), more.begin(), more.end());
  return set;
}

}  // namespace

TEST_CASE("PVT v2 of its authors counts stages from one", "[zoo]") {
  const Pair p("pvt_v2_b0", with(kOnes, {{"embed_dims", "8,16,40,64"}, {"mlp_ratios", "1,1,1,1"}}));
  constexpr Rename rows[] = {{"^patch_embed", "patch_embed1"},
                             {"^stages.1.downsample", "patch_embed2"},
                             {"^stages.2.downsample", "patch_embed3"},
                             {"^stages.3.downsample", "patch_embed4"},
                             {"^stages.0.blocks", "block1"},
                             {"^stages.1.blocks", "block2"},
                             {"^stages.2.blocks", "block3"},
                             {"^stages.3.blocks", "block4"},
                             {"^stages.0.norm", "norm1"},
                             {"^stages.1.norm", "norm2"},
                             {"^stages.2.norm", "norm3"},
                             {"^stages.3.norm", "norm4"},
                             {"dwconv", "dwconv.dwconv"}};
  p.check(rename(p.own, rows), "block4.0.mlp.dwconv.dwconv.weight");
}

TEST_CASE("RDNet of its authors", "[zoo]") {
  const Pair p("rdnet_tiny", {{"growth_rates", "8,8"},
                              {"num_blocks_list", "1,1"},
                              {"is_downsample_block", "false,true"},
                              {"block_type", "Block,BlockESE"},
                              {"num_init_features", "16"}});
  constexpr Rename rows[] = {{"^stem", "stem.stem"}};
  p.check(rename(p.own, rows), "stem.stem.0.weight");
}

TEST_CASE("MambaOut of its authors", "[zoo]") {
  const Pair p("mambaout_femto", with(kOnes, {{"dims", "8,12,16,20"}}));
  constexpr Rename rows[] = {{"^head.norm", "norm"},
                             {"^head.fc", "head.fc2"},
                             {"^head.pre_logits.fc", "head.fc1"},
                             {"^head.pre_logits.norm", "head.norm"},
                             {"^stem", "downsample_layers.0"},
                             {"^stages.#.downsample", "downsample_layers.$1"},
                             {"^stages.#.blocks.#", "stages.$1.$2"}};
  p.check(rename(p.own, rows), "downsample_layers.3.conv.weight");
}

TEST_CASE("PoolFormer of its authors counts what lies between the stages", "[zoo]") {
  const Pair p("poolformer_s12", with(kOnes, {{"dims", "8,12,16,20"}}));
  constexpr Rename rows[] = {{"layer_scale1.scale", "layer_scale_1"},
                             {"layer_scale2.scale", "layer_scale_2"},
                             {"^stages.1.downsample.conv", "network.1.proj"},
                             {"^stages.2.downsample.conv", "network.3.proj"},
                             {"^stages.3.downsample.conv", "network.5.proj"},
                             {"^stages.0.blocks", "network.0"},
                             {"^stages.1.blocks", "network.2"},
                             {"^stages.2.blocks", "network.4"},
                             {"^stages.3.blocks", "network.6"},
                             {"^stem.conv", "patch_embed.proj"},
                             {"^head.norm", "norm"},
                             {"^head.fc", "head"}};
  p.check(rename(p.own, rows), "network.5.proj.weight");
}

TEST_CASE("CAFormer of its authors, whose layers of each pixel are linear", "[zoo]") {
  const Pair p("caformer_s18", with(kOnes, {{"dims", "8,16,32,64"}}));
  constexpr Rename rows[] = {{"^stem.conv", "downsample_layers.0.conv"},
                             {"^stem.norm", "downsample_layers.0.post_norm"},
                             {"^stages.#.downsample.conv", "downsample_layers.$1.conv"},
                             {"^stages.#.downsample.norm", "downsample_layers.$1.pre_norm"},
                             {"^stages.#.blocks.#", "stages.$1.$2"},
                             {"^head.norm", "norm"},
                             {"^head.fc", "head"}};
  StateDict theirs = rename(p.own, rows);
  for (const char* name : {"stages.0.0.mlp.fc1.weight", "stages.1.0.token_mixer.pwconv1.weight"})
    theirs.set(name, flatten(theirs.at(name), 1));
  p.check(theirs, "downsample_layers.0.post_norm.weight");
}

TEST_CASE("EdgeNeXt of its authors", "[zoo]") {
  const Pair p("edgenext_xx_small", with(kOnes, {{"dims", "8,12,24,16"}}));
  constexpr Rename rows[] = {{"^head.norm", "norm"},
                             {"^head.fc", "head"},
                             {"^stem", "downsample_layers.0"},
                             {"^stages.#.downsample", "downsample_layers.$1"},
                             {"^stages.#.blocks.#", "stages.$1.$2"},
                             {"conv_dw", "dwconv"},
                             {"mlp.fc1", "pwconv1"},
                             {"mlp.fc2", "pwconv2"}};
  p.check(rename(p.own, rows), "stages.0.0.pwconv1.weight");
}

TEST_CASE("FocalNet of its authors, whose norms bear one name wherever they stand", "[zoo]") {
  const Pair p("focalnet_large_fl3", with(kOnes, {{"embed_dim", "8"}, {"use_post_norm_in_modulation", "true"}}));
  constexpr Rename rows[] = {{"ls1.gamma", "gamma_1"},
                             {"ls2.gamma", "gamma_2"},
                             {"norm1_post", "norm1"},
                             {"norm2_post", "norm2"},
                             {"modulation.norm", "modulation.ln"},
                             {"^stem", "patch_embed"},
                             {"^layers.1.downsample", "layers.0.downsample"},
                             {"^layers.2.downsample", "layers.1.downsample"},
                             {"^layers.3.downsample", "layers.2.downsample"},
                             {"^head.fc", "head"}};
  StateDict theirs = rename(p.own, rows);
  for (const char* part : {"f", "h", "proj"}) {  // they were linear
    const std::string name = cat("layers.0.blocks.0.modulation.", part, ".weight");
    theirs.set(name, flatten(theirs.at(name), 1));
  }
  p.check(theirs, "layers.0.downsample.proj.weight");
}

TEST_CASE("DaViT of its authors, and Florence's, which has no norm for a classifier", "[zoo]") {
  const Settings small = with(kOnes, {{"embed_dims", "8,16,24,32"}, {"num_heads", "1,2,3,4"}, {"window_size", "4"}});
  SECTION("DaViT") {
    const Pair p("davit_tiny", small);
    constexpr Rename rows[] = {{"^stem.conv", "patch_embeds.0.proj"},
                               {"^stem.norm", "patch_embeds.0.norm"},
                               {"^stages.#.downsample.conv", "patch_embeds.$1.proj"},
                               {"^stages.#.downsample.norm", "patch_embeds.$1.norm"},
                               {"^stages.#.blocks", "main_blocks.$1"},
                               {"^head.norm", "norms"},
                               {"^head.fc", "head"},
                               {"cpe1", "cpe.0"},
                               {"cpe2", "cpe.1"}};
    p.check(rename(p.own, rows), "main_blocks.3.0.0.cpe.1.proj.weight");
  }
  SECTION("Florence") {
    const auto m = create("davit_base_fl", {.num_classes = 0, .set = small}),
               other = create("davit_base_fl", {.num_classes = 0, .set = small});
    const StateDict own = filled_weights(*m);
    constexpr Rename rows[] = {{"^head.norm.*", nullptr},
                               {"^stem.conv", "convs.0.proj"},
                               {"^stem.norm", "convs.0.norm"},
                               {"^stages.#.downsample.conv", "convs.$1.proj"},
                               {"^stages.#.downsample.norm", "convs.$1.norm"},
                               {"^stages.#.blocks", "blocks.$1"},
                               {"spatial_block.norm1", "spatial_block.window_attn.norm"},
                               {"spatial_block.attn", "spatial_block.window_attn.fn"},
                               {"channel_block.norm1", "channel_block.channel_attn.norm"},
                               {"channel_block.attn", "channel_block.channel_attn.fn"},
                               {"norm2", "ffn.norm"},
                               {"mlp", "ffn.fn.net"},
                               {"cpe1.proj", "conv1.fn.dw"},
                               {"cpe2.proj", "conv2.fn.dw"}};
    StateDict theirs;
    for (const auto& [name, t] : rename(own, rows)) theirs.set("vision_tower." + name, t);
    theirs.set("language_model.head.weight", zeros({3}));
    REQUIRE(theirs.contains("vision_tower.blocks.3.0.spatial_block.window_attn.fn.qkv.weight"));
    const StateDict adapted = adapt_weights(*other, theirs);
    CHECK(adapted.size() == own.size());
    for (const auto& [name, t] : own) {
      INFO(name);
      REQUIRE(adapted.contains(name));
      if (!name.starts_with("head.")) CHECK(test::values_of(adapted.at(name)) == test::values_of(t));
    }
    CHECK(test::values_of(adapted.at("head.norm.weight")) == std::vector<double>(32, 1.0));
  }
}

TEST_CASE("CSATv2 of its authors ends stages with the convolution of the next", "[zoo]") {
  const Pair p("csatv2", {{"dims", "8,12,16,20"}});
  StateDict theirs;
  constexpr Rename rows[] = {{"^stem_dct", "dct"},         {"conv_y", "Y_Conv"},          {"conv_cb", "Cb_Conv"},
                             {"conv_cr", "Cr_Conv"},       {"grn.weight", "grn.gamma"},   {"grn.bias", "grn.beta"},
                             {"mlp.fc1", "ff.net.0"},      {"mlp.fc2", "ff.net.3"},       {"^head.norm", "norm"},
                             {"^head.fc", "head"},         {"^stages.1.0", "stages1.3"},  {"^stages.2.0", "stages2.3"},
                             {"^stages.3.0", "stages3.9"}, {"^stages.0.#", "stages1.$1"}, {"^stages.1.1", "stages2.0"},
                             {"^stages.1.2", "stages2.1"}, {"^stages.1.3", "stages2.2"}};
  for (const auto& [name, t] : rename(p.own, rows)) {
    const bool later = name.starts_with("stages.2.") || name.starts_with("stages.3.");
    std::string called = name;
    if (later) {  // one place earlier, in a stage counted from one
      const size_t end = name.find('.', 9);
      called = cat("stages", name[7] - '0' + 1, '.', std::stoi(name.substr(9, end - 9)) - 1, name.substr(end));
    }
    theirs.set(called, name.find("grn.") != std::string::npos ? reshape(t, {1, 1, 1, -1}) : t);
  }
  p.check(theirs, "stages3.9.weight");
}

TEST_CASE("a hybrid ViT of JAX counts blocks from one and has kernels H, W, in, out", "[zoo]") {
  const Pair p("vit_small_r26_s32_224", {{"embed_dim", "16"}, {"depth", "1"}, {"num_heads", "2"}}, std::array{32, 32});
  StateDict theirs;
  const auto take = [&](const std::string& name) { return p.own.at(name); };
  const auto put_dense = [&](const std::string& to, const std::string& from) {
    theirs.set(to + "/kernel", contiguous(transpose(take(from + ".weight"), 0, 1)));
    theirs.set(to + "/bias", take(from + ".bias"));
  };
  const auto put_norm = [&](const std::string& to, const std::string& from) {
    theirs.set(to + "/scale", take(from + ".weight"));
    theirs.set(to + "/bias", take(from + ".bias"));
  };
  const auto put_kernel = [&](const std::string& to, const std::string& from) {
    theirs.set(to + "/kernel", contiguous(permute(take(from + ".weight"), {2, 3, 1, 0})));
  };
  const std::string backbone = "patch_embed.backbone.";
  put_kernel("conv_root", backbone + "stem.conv");
  put_norm("gn_root", backbone + "stem.norm");
  for (int s = 0; s < 4; ++s)
    for (int b = 0; b < 2; ++b) {
      const std::string to = cat("block", s + 1, "/unit", b + 1, '/'),
                        from = cat(backbone, "stages.", s, ".blocks.", b, '.');
      for (int n = 1; n <= 3; ++n) {
        put_kernel(cat(to, "conv", n), cat(from, "conv", n));
        put_norm(cat(to, "gn", n), cat(from, "norm", n));
      }
      if (b > 0) continue;
      put_kernel(to + "conv_proj", from + "downsample.conv");
      put_norm(to + "gn_proj", from + "downsample.norm");
    }
  put_kernel("embedding", "patch_embed.proj");
  theirs.set("embedding/bias", take("patch_embed.proj.bias"));
  theirs.set("cls", take("cls_token"));
  theirs.set("Transformer/posembed_input/pos_embedding", take("pos_embed"));
  const std::string block = "Transformer/encoderblock_0/", mha = block + "MultiHeadDotProductAttention_1/";
  put_norm(block + "LayerNorm_0", "blocks.0.norm1");
  put_norm(block + "LayerNorm_2", "blocks.0.norm2");
  const std::vector<Tensor> weights = chunk(take("blocks.0.attn.qkv.weight"), 3, 0),
                            biases = chunk(take("blocks.0.attn.qkv.bias"), 3, 0);
  for (size_t i = 0; i < 3; ++i) {
    const std::string part = mha + std::array{"query", "key", "value"}[i];
    theirs.set(part + "/kernel", reshape(contiguous(transpose(weights[i], 0, 1)), {16, 2, 8}));
    theirs.set(part + "/bias", reshape(contiguous(biases[i]), {2, 8}));
  }
  theirs.set(mha + "out/kernel", reshape(contiguous(transpose(take("blocks.0.attn.proj.weight"), 0, 1)), {2, 8, 16}));
  theirs.set(mha + "out/bias", take("blocks.0.attn.proj.bias"));
  put_dense(block + "MlpBlock_3/Dense_0", "blocks.0.mlp.fc1");
  put_dense(block + "MlpBlock_3/Dense_1", "blocks.0.mlp.fc2");
  put_norm("Transformer/encoder_norm", "norm");
  put_dense("head", "head");
  p.check(theirs, "block4/unit2/conv3/kernel");
}

TEST_CASE("MobileCLIP's image encoder", "[zoo]") {
  const Pair p("vit_base_mci_224", {{"embed_dim", "16"}, {"depth", "1"}, {"num_heads", "2"}}, std::array{32, 32});
  constexpr Rename rows[] = {{"^patch_embed.backbone.#.conv", "patch_emb.$1.block.conv"},
                             {"^patch_embed.backbone.#.bn", "patch_emb.$1.block.norm"},
                             {"^norm", "post_transformer_norm"},
                             {"^blocks.#", "transformer.$1"},
                             {"norm1", "pre_norm_mha.0"},
                             {"attn", "pre_norm_mha.1"},
                             {"norm2", "pre_norm_ffn.0"},
                             {"mlp.fc1", "pre_norm_ffn.1"},
                             {"mlp.fc2", "pre_norm_ffn.4"},
                             {"qkv", "qkv_proj"},
                             {"pre_norm_mha.1.proj", "pre_norm_mha.1.out_proj"},
                             {"^pos_embed", "pos_embed.pos_embed.pos_embed"},
                             {"^head.weight", "classifier.proj"},
                             {"^head.bias", nullptr}};
  StateDict theirs, want = p.own;
  for (const auto& [name, t] : rename(p.own, rows)) theirs.set("image_encoder.model." + name, t);
  theirs.set("text_encoder.weight", zeros({2}));
  change(theirs, "image_encoder.model.pos_embed.pos_embed.pos_embed", [](const Tensor& t) { return unsqueeze(t, 0); });
  change(theirs, "image_encoder.model.classifier.proj", [](const Tensor& t) { return transpose(t, 0, 1); });
  want.set("head.bias", zeros({5}));
  check_loads(*p.other, theirs, want);
}

TEST_CASE("DeepSeek's encoder comes out of a file that holds the language model as well", "[zoo]") {
  const Settings small{{"embed_dim", "16"}, {"depth", "1"}, {"num_heads", "2"}, {"out_features", "8"}};
  constexpr Rename rows[] = {
      {"^encoder.", ""},     {"attn.qkv", "attn.wqkv"},      {"attn.proj", "attn.wo"},      {"mlp.fc1", "mlp.w1"},
      {"mlp.fc2", "mlp.w2"}, {"^aligner.fc1", "aligner.w1"}, {"^aligner.fc2", "aligner.w2"}};
  const auto m = create("deepseek_vit_412m_align", {.num_classes = 0, .img_size = std::array{42, 42}, .set = small});
  const StateDict own = filled_weights(*m);
  StateDict theirs;
  for (const auto& [name, t] : rename(own, rows)) theirs.set(name.starts_with("aligner.") ? name : "vision." + name, t);
  change(theirs, "vision.patch_embed.proj.weight", [](const Tensor& t) { return flatten(t, 1); });
  for (const char* name : {"norm.weight", "head.weight", "layers.0.attn.wo.weight"}) theirs.set(name, zeros({3}));
  REQUIRE(theirs.contains("vision.blocks.0.attn.wqkv.weight"));
  const auto other =
      create("deepseek_vit_412m_align", {.num_classes = 0, .img_size = std::array{42, 42}, .set = small});
  check_loads(*other, theirs, own);

  const auto alone = create("deepseek_vit_412m_enc", {.img_size = std::array{42, 42}, .set = small});
  check_loads(*alone, own, below(own, "encoder."));
}

}  // namespace fovea::zoo
