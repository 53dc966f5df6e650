// SPDX-License-Identifier: Apache-2.0
// zoo/families/mlp_mixer.cpp — MLP-Mixer, its gated relative, ResMLP and gMLP: tokens mixed by linear layers.
// timm.models.mlp_mixer; https://arxiv.org/abs/2105.01601, 2105.03404, 2105.08050
#include "nn/layers/glu_mlp.h"
#include "nn/layers/patch_embed.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::mlp_mixer {
namespace {

enum class BlockLayer : uint8_t { mixer, res, spatial_gating };
std::string_view name_of(BlockLayer b) {
  constexpr std::string_view names[] = {"mixer", "res", "spatial_gating"};
  return static_cast<size_t>(b) < std::size(names) ? names[static_cast<size_t>(b)] : std::string_view();
}

struct Cfg {
  int patch_size = 16, num_blocks = 8, embed_dim = 512;
  double mlp_ratio_tokens = 0.5, mlp_ratio = 4;  // hidden channels of both MLPs / embed_dim
  BlockLayer block_layer = BlockLayer::mixer;
  bool glu = false;  // gated MLPs
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  Act act_layer = act::gelu;
  double init_values = 1e-4;  // of the scales of res blocks
  double proj_drop_rate = 0;
  bool nlhb = false, stem_norm = false;

  TokenNorm norm() const { return {.kind = norm_layer}; }
};
FOVEA_SETTINGS(Cfg, patch_size, num_blocks, embed_dim, mlp_ratio_tokens, mlp_ratio, block_layer, glu, norm_layer,
               act_layer, init_values, proj_drop_rate, nlhb, stem_norm)

std::unique_ptr<Module> mlp(const Cfg& c, int in, double ratio) {
  const int hidden = static_cast<int>(c.embed_dim * ratio);
  if (c.glu)
    return std::make_unique<GluMlp>(in, GluMlpOptions{.hidden = hidden, .act = c.act_layer, .drop = c.proj_drop_rate});
  return std::make_unique<Mlp>(in, MlpOptions{.hidden = hidden, .act = c.act_layer, .drop = c.proj_drop_rate});
}

// A layer over the tokens of each channel rather than the channels of each token.
Tensor over_tokens(const Ref<Module>& layer, const Tensor& x) { return transpose(layer(transpose(x, 1, 2)), 1, 2); }

class MixerBlock final : public Module {
 public:
  MixerBlock(const Cfg& c, int tokens, double drop_path) {
    norm1_ = add("norm1", token_norm(c.norm(), c.embed_dim));
    mlp_tokens_ = add("mlp_tokens", mlp(c, tokens, c.mlp_ratio_tokens));
    drop_path_ = add("drop_path", DropPath(drop_path));
    norm2_ = add("norm2", token_norm(c.norm(), c.embed_dim));
    mlp_channels_ = add("mlp_channels", mlp(c, c.embed_dim, c.mlp_ratio));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path_(over_tokens(mlp_tokens_, norm1_(x)));
    return y + drop_path_(mlp_channels_(norm2_(y)));
  }

 private:
  Ref<Module> norm1_, mlp_tokens_, norm2_, mlp_channels_;
  Ref<DropPath> drop_path_;
};

class ResBlock final : public Module {
 public:
  ResBlock(const Cfg& c, int tokens, double drop_path) {
    ls1_ = param("ls1", {c.embed_dim}, init::constant(c.init_values));
    ls2_ = param("ls2", {c.embed_dim}, init::constant(c.init_values));
    norm1_ = add("norm1", token_norm(c.norm(), c.embed_dim));
    linear_tokens_ = add("linear_tokens", Linear(tokens, tokens));
    drop_path_ = add("drop_path", DropPath(drop_path));
    norm2_ = add("norm2", token_norm(c.norm(), c.embed_dim));
    mlp_channels_ = add("mlp_channels", mlp(c, c.embed_dim, c.mlp_ratio));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path_(over_tokens(linear_tokens_, norm1_(x)) * *ls1_);
    return y + drop_path_(mlp_channels_(norm2_(y)) * *ls2_);
  }

 private:
  Param ls1_, ls2_;
  Ref<Module> norm1_, linear_tokens_, norm2_, mlp_channels_;
  Ref<DropPath> drop_path_;
};

/// One half of the channels, mixed over the tokens, gates the other half.
class SpatialGatingUnit final : public Module {
 public:
  SpatialGatingUnit(int channels, int tokens) {
    norm_ = add("norm", LayerNorm(channels / 2, 1e-5));
    proj = add("proj", Linear(tokens, tokens));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> half = chunk(x, 2, -1);
    return half[0] * over_tokens(proj, norm_(half[1]));
  }
  Ref<Linear> proj;

 private:
  Ref<LayerNorm> norm_;
};

class GatedMlp final : public Module {
 public:
  GatedMlp(const Cfg& c, int tokens) {
    const int hidden = static_cast<int>(c.embed_dim * c.mlp_ratio);
    fc1_ = add("fc1", Linear(c.embed_dim, hidden));
    act_ = add("act", Activation(c.act_layer));
    drop1_ = add("drop1", Dropout(c.proj_drop_rate));
    gate_ = add("gate", SpatialGatingUnit(hidden, tokens));
    fc2_ = add("fc2", Linear(hidden / 2, c.embed_dim));
    drop2_ = add("drop2", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop2_(fc2_(gate_(drop1_(act_(fc1_(x)))))); }

 private:
  Ref<Module> fc1_, act_, drop1_, gate_, fc2_, drop2_;
};

class SpatialGatingBlock final : public Module {
 public:
  SpatialGatingBlock(const Cfg& c, int tokens, double drop_path) {
    norm_ = add("norm", token_norm(c.norm(), c.embed_dim));
    mlp_channels_ = add("mlp_channels", GatedMlp(c, tokens));
    drop_path_ = add("drop_path", DropPath(drop_path));
  }
  Tensor forward(const Tensor& x) override { return x + drop_path_(mlp_channels_(norm_(x))); }

 private:
  Ref<Module> norm_, mlp_channels_, drop_path_;
};

std::unique_ptr<Module> block(const Cfg& c, int tokens, double drop_path) {
  switch (c.block_layer) {
    case BlockLayer::res: return std::make_unique<ResBlock>(c, tokens, drop_path);
    case BlockLayer::spatial_gating: return std::make_unique<SpatialGatingBlock>(c, tokens, drop_path);
    case BlockLayer::mixer: break;
  }
  return std::make_unique<MixerBlock>(c, tokens, drop_path);
}

class MlpMixer final : public TokenHeadModel, public TokenModel {
 public:
  MlpMixer(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {.pool = "avg", .known = "avg", .prefix = 0}) {
    default_levels_ = 3;
    const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
    stem_ = add("stem", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                   {.image = {size[0], size[1]},
                                    .patch = c.patch_size,
                                    .norm = c.stem_norm ? c.norm() : TokenNorm{.kind = TokenNorm::Kind::none}}));
    Sequential blocks;
    for (int i = 0; i < c.num_blocks; ++i)
      blocks.add(block(c, stem_->patches(), static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    blocks_ = add("blocks", std::move(blocks));
    norm_ = add("norm", token_norm(c.norm(), c.embed_dim));
    add_head(c.embed_dim);
    start_vit_values(*this, c.nlhb ? VitInit::jax_nlhb : VitInit::jax, num_classes_);
    visit([](const std::string&, Module& m) {
      auto* gate = dynamic_cast<SpatialGatingUnit*>(&m);
      if (!gate) return;
      gate->proj->weight.slot().init = init::normal(1e-6);
      gate->proj->bias.slot().init = init::ones();
    });
  }

  Tensor forward_features(const Tensor& image) override { return norm_(run_levels(*blocks_, stem_(image))); }
  Size2 token_grid(int64_t height, int64_t width) const override { return stem_->grid_of(height, width); }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^stem"}, {1, "^blocks.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }

 private:
  Ref<PatchEmbed> stem_;
  Ref<Sequential> blocks_;
  Ref<Module> norm_;
};

// Facebook's ResMLP.
constexpr Rename kResMlp[] = {{"patch_embed", "stem"},
                              {"attn", "linear_tokens"},
                              {"mlp", "mlp_channels"},
                              {"gamma_1", "ls1"},
                              {"gamma_2", "ls2"}};

StateDict adapt(ImageModel&, StateDict weights) {
  if (!weights.contains("patch_embed.proj.weight")) return weights;
  StateDict w = rename(weights, kResMlp);
  for (const std::string& name : w.names())
    if (name.ends_with(".alpha") || name.ends_with(".beta"))
      change(w, name, [](const Tensor& t) { return reshape(t, {1, 1, -1}); });
  return w;
}

constexpr Cfg mixer(int patch, int blocks, int dim) {
  return {.patch_size = patch, .num_blocks = blocks, .embed_dim = dim};
}
constexpr Cfg gmixer(int blocks) {
  return {.num_blocks = blocks, .embed_dim = 384, .mlp_ratio_tokens = 1, .glu = true, .act_layer = act::silu};
}
constexpr Cfg resmlp(int patch, int blocks, int dim, double init_values) {
  return {.patch_size = patch,
          .num_blocks = blocks,
          .embed_dim = dim,
          .block_layer = BlockLayer::res,
          .norm_layer = TokenNorm::Kind::affine,
          .init_values = init_values};
}
constexpr Cfg gmlp(int dim) {
  return {.num_blocks = 30, .embed_dim = dim, .mlp_ratio = 6, .block_layer = BlockLayer::spatial_gating};
}
constexpr Variant<Cfg> variants[] = {
    {"mixer_s32_224", mixer(32, 8, 512)},
    {"mixer_s16_224", mixer(16, 8, 512)},
    {"mixer_b32_224", mixer(32, 12, 768)},
    {"mixer_b16_224", mixer(16, 12, 768)},
    {"mixer_l32_224", mixer(32, 24, 1024)},
    {"mixer_l16_224", mixer(16, 24, 1024)},
    {"gmixer_12_224", gmixer(12)},
    {"gmixer_24_224", gmixer(24)},
    {"resmlp_12_224", resmlp(16, 12, 384, 1e-4)},
    {"resmlp_24_224", resmlp(16, 24, 384, 1e-5)},
    {"resmlp_36_224", resmlp(16, 36, 384, 1e-6)},
    {"resmlp_big_24_224", resmlp(8, 24, 768, 1e-6)},
    {"gmlp_ti16_224", gmlp(128)},
    {"gmlp_s16_224", gmlp(256)},
    {"gmlp_b16_224", gmlp(512)},
};

}  // namespace

FOVEA_FAMILY(mlp_mixer, MlpMixer, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::mlp_mixer
