// SPDX-License-Identifier: Apache-2.0
// zoo/families/xcit.cpp — XCiT: channels attend to channels, by their covariance over all tokens.
// timm.models.xcit; https://arxiv.org/abs/2106.09681
#include <cmath>
#include <numbers>

#include "nn/layers/attention.h"
#include "nn/layers/class_attention.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::xcit {
namespace {

struct Cfg {
  int patch_size = 16, embed_dim = 768, depth = 12, num_heads = 12;
  double eta = 1;           // what the factors of the branches start as
  bool tokens_norm = true;  // the second norm of class attention: for all tokens
  double mlp_ratio = 4;
  bool qkv_bias = true;
  int cls_attn_layers = 2;
  bool use_pos_embed = true;
  Act act_layer = act::gelu;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dim, depth, num_heads, eta, tokens_norm, mlp_ratio, qkv_bias, cls_attn_layers,
               use_pos_embed, act_layer, pos_drop_rate, proj_drop_rate, attn_drop_rate)

/// Sines and cosines of both coordinates, of more and more wavelengths, and a layer that makes channels of them.
class PositionalEncodingFourier final : public Module {
 public:
  explicit PositionalEncodingFourier(int dim) {
    token_projection_ = add("token_projection", Conv2d(2 * kHidden, dim, 1, {.padding = 0, .bias = true}));
  }
  Tensor operator()(int height, int width) {  // [1, dim, height, width]
    const Scope scope(name());
    Tensor waves = empty({1, 2 * kHidden, height, width});
    float* at = waves.mutable_data<float>().data();
    for (int c = 0; c < 2 * kHidden; ++c)
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) *at++ = c < kHidden ? wave(y, height, c) : wave(x, width, c - kHidden);
    const Tensor& weight = token_projection_->weight;
    return token_projection_(cast(waves.to(weight.device()), weight.dtype()));
  }

 private:
  static constexpr int kHidden = 32;
  // Rounded to f32 wherever the paper's code is.
  static float wave(int at, int size, int channel) {
    const float angle =
        static_cast<float>(at + 1) / (static_cast<float>(size) + 1e-6f) * static_cast<float>(2 * std::numbers::pi);
    const float slow = angle / std::pow(10000.0f, 2 * static_cast<float>(channel / 2) / kHidden);
    return channel % 2 == 0 ? std::sin(slow) : std::cos(slow);
  }
  Ref<Conv2d> token_projection_;
};

/// 3x3 convolutions, each halving height and width.
class ConvPatchEmbed final : public Module {
 public:
  ConvPatchEmbed(int channels, const Cfg& c) {
    if (c.patch_size != 8 && c.patch_size != 16)
      throw Error(Error::Kind::argument, cat("patch_size is ", c.patch_size), "XCiT has patches of 8 or 16");
    Sequential proj;
    for (int part = c.patch_size / 2, in = channels; part >= 1; part /= 2) {
      const int out = c.embed_dim / part;
      Sequential halving;
      halving.add(Conv2d(in, out, 3, {.stride = 2, .padding = 1}));
      halving.add(BatchNorm2d(out));
      proj.add(std::move(halving));
      if (part > 1) proj.add(Activation(c.act_layer));
      in = out;
    }
    proj_ = add("proj", std::move(proj));
  }
  Tensor forward(const Tensor& image) override { return proj_(image); }

 private:
  Ref<Sequential> proj_;
};

/// Depthwise convolutions over the map of tokens N,C,H,W.
class LocalPatchInteraction final : public Module {
 public:
  explicit LocalPatchInteraction(const Cfg& c) {
    const Conv2dOptions depthwise{.groups = c.embed_dim, .padding = 1, .bias = true};
    conv1_ = add("conv1", Conv2d(c.embed_dim, c.embed_dim, 3, depthwise));
    act_ = add("act", Activation(c.act_layer));
    bn_ = add("bn", BatchNorm2d(c.embed_dim));
    conv2_ = add("conv2", Conv2d(c.embed_dim, c.embed_dim, 3, depthwise));
  }
  Tensor forward(const Tensor& x) override { return conv2_(bn_(act_(conv1_(x)))); }

 private:
  Ref<Module> conv1_, act_, bn_, conv2_;
};

/// Attention whose tokens are the channels of a head.
class CrossCovariance final : public Module {
 public:
  explicit CrossCovariance(const Cfg& c) : heads_(c.num_heads) {
    head_channels(c.embed_dim, heads_);
    temperature_ = param("temperature", {heads_, 1, 1}, init::ones());
    qkv_ = add("qkv", Linear(c.embed_dim, 3 * c.embed_dim, c.qkv_bias));
    attn_drop_ = add("attn_drop", Dropout(c.attn_drop_rate));
    proj_ = add("proj", Linear(c.embed_dim, c.embed_dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const auto [q, k, v] = split_qkv(qkv_(x), heads_);  // [N, heads, L, D]
    const Tensor scores = matmul(transpose(normalize(q, 2), 2, 3), normalize(k, 2)) * *temperature_;
    const Tensor y = matmul(v, transpose(attn_drop_(softmax(scores, -1)), 2, 3));
    return proj_drop_(proj_(merge_heads(y)));
  }

 private:
  int heads_;
  Param temperature_;
  Ref<Linear> qkv_, proj_;
  Ref<Dropout> attn_drop_, proj_drop_;
};

Mlp mlp(const Cfg& c) {
  return Mlp(c.embed_dim,
             {.hidden = static_cast<int>(c.embed_dim * c.mlp_ratio), .act = c.act_layer, .drop = c.proj_drop_rate});
}

class XcaBlock final : public Module {
 public:
  XcaBlock(const Cfg& c, double drop_path) {
    gamma1_ = param("gamma1", {c.embed_dim}, init::constant(c.eta));
    gamma3_ = param("gamma3", {c.embed_dim}, init::constant(c.eta));
    gamma2_ = param("gamma2", {c.embed_dim}, init::constant(c.eta));
    norm1_ = add("norm1", LayerNorm(c.embed_dim));
    attn_ = add("attn", CrossCovariance(c));
    drop1_ = add("drop_path1", DropPath(drop_path));
    norm3_ = add("norm3", LayerNorm(c.embed_dim));
    local_mp_ = add("local_mp", LocalPatchInteraction(c));
    drop3_ = add("drop_path3", DropPath(drop_path));
    norm2_ = add("norm2", LayerNorm(c.embed_dim));
    mlp_ = add("mlp", mlp(c));
    drop2_ = add("drop_path2", DropPath(drop_path));
  }
  Tensor forward(const Tensor& map) override {  // N,H,W,C
    const Tensor x = flatten(map, 1, 2);
    const Tensor y = map + drop1_(unflatten(attn_(norm1_(x)) * *gamma1_, 1, {map.dim(1), map.dim(2)}));
    const Tensor z = y + drop3_(permute(local_mp_(permute(norm3_(y), {0, 3, 1, 2})), {0, 2, 3, 1}) * *gamma3_);
    return z + drop2_(mlp_(norm2_(z)) * *gamma2_);
  }

 private:
  Param gamma1_, gamma2_, gamma3_;
  Ref<LayerNorm> norm1_, norm2_, norm3_;
  Ref<CrossCovariance> attn_;
  Ref<LocalPatchInteraction> local_mp_;
  Ref<Mlp> mlp_;
  Ref<DropPath> drop1_, drop2_, drop3_;
};

/// Changes the class token by attention and MLP; what the others get are their norms.
class ClassAttentionBlock final : public Module {
 public:
  explicit ClassAttentionBlock(const Cfg& c) : tokens_norm_(c.tokens_norm) {
    gamma1_ = param("gamma1", {c.embed_dim}, init::constant(c.eta));
    gamma2_ = param("gamma2", {c.embed_dim}, init::constant(c.eta));
    norm1_ = add("norm1", LayerNorm(c.embed_dim));
    attn_ = add("attn", ClassAttention(c.embed_dim, {.heads = c.num_heads,
                                                     .qkv_bias = c.qkv_bias,
                                                     .attn_drop = c.attn_drop_rate,
                                                     .proj_drop = c.proj_drop_rate}));
    norm2_ = add("norm2", LayerNorm(c.embed_dim));
    mlp_ = add("mlp", mlp(c));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor seen = norm1_(x);
    const Tensor y = x + cat({attn_(seen), others(seen)}, 1) * *gamma1_;
    const Tensor z = tokens_norm_ ? norm2_(y) : cat({norm2_(first(y)), others(y)}, 1);
    return z + cat({mlp_(first(z)) * *gamma2_, others(z)}, 1);
  }

 private:
  static Tensor first(const Tensor& x) { return slice(x, 1, 0, 1); }
  static Tensor others(const Tensor& x) { return slice(x, 1, 1, x.dim(1)); }
  bool tokens_norm_;
  Param gamma1_, gamma2_;
  Ref<LayerNorm> norm1_, norm2_;
  Ref<ClassAttention> attn_;
  Ref<Mlp> mlp_;
};

class Xcit final : public TokenHeadModel, public TokenModel {
 public:
  Xcit(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {}), patch_(c.patch_size) {
    default_levels_ = 3;
    cls_token_ = param("cls_token", {1, 1, c.embed_dim}, init::trunc_normal(0.02));
    patch_embed_ = add("patch_embed", ConvPatchEmbed(o.in_chans.value_or(3), c));
    if (c.use_pos_embed) pos_embed_ = add("pos_embed", PositionalEncodingFourier(c.embed_dim));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    Sequential blocks, cls_attn_blocks;
    for (int i = 0; i < c.depth; ++i) blocks.add(XcaBlock(c, static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    for (int i = 0; i < c.cls_attn_layers; ++i) cls_attn_blocks.add(ClassAttentionBlock(c));
    blocks_ = add("blocks", std::move(blocks));
    cls_attn_blocks_ = add("cls_attn_blocks", std::move(cls_attn_blocks));
    norm_ = add("norm", LayerNorm(c.embed_dim));
    add_head(c.embed_dim);
    start_vit_values(*this, VitInit::timm, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = permute(patch_embed_(image), {0, 2, 3, 1});
    if (pos_embed_.get()) {
      const Tensor waves = (*pos_embed_.get())(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
      x = x + permute(waves, {0, 2, 3, 1});
    }
    x = pos_drop_(x);
    for (const auto& block : blocks_->children()) {
      {
        const Scope scope("blocks");
        x = run(*block, x);
      }
      if (tap(cat("blocks.", block->name()), flatten(x, 1, 2))) break;
    }
    x = flatten(x, 1, 2);
    if (cls_token_) {
      x = cat({expand(cls_token_, {x.dim(0), 1, x.dim(2)}), x}, 1);
      for (const auto& block : cls_attn_blocks_->children()) {
        const Scope scope("cls_attn_blocks");
        x = run(*block, x);
      }
    }
    return norm_(x);
  }
  Size2 token_grid(int64_t height, int64_t width) const override {
    const auto part = [&](int64_t size) { return static_cast<int>((size + patch_ - 1) / patch_); };
    return {part(height), part(width)};
  }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed.*", "cls_token"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^cls_token"}, {0, "^pos_embed"},         {0, "^patch_embed"},
            {1, "^blocks.#"},  {2, "^cls_attn_blocks.#"}, {.group = 2, .pattern = "^norm", .joins_previous = true}};
  }

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  void drop_head() override {  // the class token is part of it
    cls_attn_blocks_->vacate();
    remove("cls_token");
    cls_token_ = {};
    pools_.known = "avg";
    pools_.prefix = 0;
    TokenHeadModel::drop_head();
  }

 private:
  int patch_;
  Param cls_token_;
  Ref<ConvPatchEmbed> patch_embed_;
  Ref<PositionalEncodingFourier> pos_embed_;
  Ref<Dropout> pos_drop_;
  Ref<Sequential> blocks_, cls_attn_blocks_;
  Ref<LayerNorm> norm_;
};

constexpr Rename kNames[] = {{"^pos_embeder", "pos_embed"}};

// In the papers' files class attention computes queries of all tokens, in one product with keys and values.
StateDict adapt(ImageModel& model, StateDict weights) {
  StateDict w = rename(weights, kNames);
  for (const std::string& name : w.names()) {
    const size_t at = name.find("attn.qkv.");
    if (name.starts_with("cls_attn_blocks.") && at != std::string::npos) {
      const std::vector<Tensor> each = chunk(w.at(name), 3, 0);
      for (size_t i = 0; i < 3; ++i)
        w.set(cat(name.substr(0, at), "attn.", "qkv"[i], name.substr(at + 8)), contiguous(each[i]));
      w.erase(name);
    } else if (name.starts_with("pos_embed.") && !model.find("pos_embed")) {
      w.erase(name);
    }
  }
  return w;
}

constexpr Cfg nano{.embed_dim = 128, .num_heads = 4, .tokens_norm = false}, tiny{.embed_dim = 192, .num_heads = 4},
    small{.embed_dim = 384, .num_heads = 8}, medium{.embed_dim = 512, .num_heads = 8},
    large{.embed_dim = 768, .num_heads = 16};
constexpr Cfg deep(Cfg c) {
  c.depth = 24;
  c.eta = 1e-5;
  return c;
}
constexpr Cfg p8(Cfg c) {
  c.patch_size = 8;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"xcit_nano_12_p16_224", nano},
    {"xcit_nano_12_p16_384", nano},
    {"xcit_tiny_12_p16_224", tiny},
    {"xcit_tiny_12_p16_384", tiny},
    {"xcit_small_12_p16_224", small},
    {"xcit_small_12_p16_384", small},
    {"xcit_tiny_24_p16_224", deep(tiny)},
    {"xcit_tiny_24_p16_384", deep(tiny)},
    {"xcit_small_24_p16_224", deep(small)},
    {"xcit_small_24_p16_384", deep(small)},
    {"xcit_medium_24_p16_224", deep(medium)},
    {"xcit_medium_24_p16_384", deep(medium)},
    {"xcit_large_24_p16_224", deep(large)},
    {"xcit_large_24_p16_384", deep(large)},
    {"xcit_nano_12_p8_224", p8(nano)},
    {"xcit_nano_12_p8_384", p8(nano)},
    {"xcit_tiny_12_p8_224", p8(tiny)},
    {"xcit_tiny_12_p8_384", p8(tiny)},
    {"xcit_small_12_p8_224", p8(small)},
    {"xcit_small_12_p8_384", p8(small)},
    {"xcit_tiny_24_p8_224", p8(deep(tiny))},
    {"xcit_tiny_24_p8_384", p8(deep(tiny))},
    {"xcit_small_24_p8_224", p8(deep(small))},
    {"xcit_small_24_p8_384", p8(deep(small))},
    {"xcit_medium_24_p8_224", p8(deep(medium))},
    {"xcit_medium_24_p8_384", p8(deep(medium))},
    {"xcit_large_24_p8_224", p8(deep(large))},
    {"xcit_large_24_p8_384", p8(deep(large))},
};

}  // namespace

FOVEA_FAMILY(xcit, Xcit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::xcit
