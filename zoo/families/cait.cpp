// SPDX-License-Identifier: Apache-2.0
// zoo/families/cait.cpp — CaiT: heads that talk to each other, scaled branches, and a class token that comes late.
// timm.models.cait; https://arxiv.org/abs/2103.17239
#include <cmath>

#include "nn/layers/attention.h"
#include "nn/layers/class_attention.h"
#include "nn/layers/patch_embed.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::cait {
namespace {

struct Cfg {
  int embed_dim = 768, depth = 12, num_heads = 12, patch_size = 16;
  double init_values = 1e-4, mlp_ratio = 4;
  int depth_token_only = 2;
  double mlp_ratio_token_only = 4;
  bool qkv_bias = true;
  Act act_layer = act::gelu;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, embed_dim, depth, num_heads, patch_size, init_values, mlp_ratio, depth_token_only,
               mlp_ratio_token_only, qkv_bias, act_layer, pos_drop_rate, proj_drop_rate, attn_drop_rate)

/// Linear layers mix the heads' scores in front of the softmax and their weights behind it.
/// https://arxiv.org/abs/2003.02436
class TalkingHeadAttention final : public Module {
 public:
  explicit TalkingHeadAttention(const Cfg& c) : heads_(c.num_heads) {
    scale_ = 1 / std::sqrt(head_channels(c.embed_dim, c.num_heads));
    qkv_ = add("qkv", Linear(c.embed_dim, 3 * c.embed_dim, c.qkv_bias));
    attn_drop_ = add("attn_drop", Dropout(c.attn_drop_rate));
    proj_ = add("proj", Linear(c.embed_dim, c.embed_dim));
    proj_l_ = add("proj_l", Linear(heads_, heads_));
    proj_w_ = add("proj_w", Linear(heads_, heads_));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const auto [q, k, v] = split_qkv(qkv_(x), heads_);
    const Tensor scores = talk(*proj_l_, matmul(q * scale_, transpose(k, 2, 3)));
    const Tensor weights = attn_drop_(talk(*proj_w_, softmax(scores, -1)));
    return proj_drop_(proj_(merge_heads(matmul(weights, v))));
  }

 private:
  // The layer over the heads of maps [N, heads, L, L], which stay where they are.
  static Tensor talk(const Linear& layer, const Tensor& maps) {
    return reshape(matmul(*layer.weight, flatten(maps, 2)) + unsqueeze(layer.bias, 1), maps.shape());
  }
  int heads_;
  double scale_;
  Ref<Linear> qkv_, proj_, proj_l_, proj_w_;
  Ref<Dropout> attn_drop_, proj_drop_;
};

/// Attention and MLP, each branch with a factor a channel.
class ScaledBlock final : public Module {
 public:
  struct Options {
    double mlp_ratio, drop = 0, drop_path = 0;
  };
  ScaledBlock(const Cfg& c, std::unique_ptr<Module> attn, const Options& o) {
    gamma_1_ = param("gamma_1", {c.embed_dim}, init::constant(c.init_values));
    gamma_2_ = param("gamma_2", {c.embed_dim}, init::constant(c.init_values));
    norm1_ = add("norm1", LayerNorm(c.embed_dim));
    attn_ = add("attn", std::move(attn));
    drop_path_ = add("drop_path", DropPath(o.drop_path));
    norm2_ = add("norm2", LayerNorm(c.embed_dim));
    mlp_ = add("mlp", Mlp(c.embed_dim,
                          {.hidden = static_cast<int>(c.embed_dim * o.mlp_ratio), .act = c.act_layer, .drop = o.drop}));
  }
  Tensor forward(const Tensor& x) override { return pass(x, x); }
  /// Changes the class token alone, which sees itself and the others.
  Tensor operator()(const Tensor& class_token, const Tensor& others) {
    const Scope scope(name());
    return pass(class_token, cat({class_token, others}, 1));
  }

 private:
  Tensor pass(const Tensor& x, const Tensor& seen) {
    const Tensor y = x + drop_path_(attn_(norm1_(seen)) * *gamma_1_);
    return y + drop_path_(mlp_(norm2_(y)) * *gamma_2_);
  }
  Param gamma_1_, gamma_2_;
  Ref<LayerNorm> norm1_, norm2_;
  Ref<Module> attn_;
  Ref<DropPath> drop_path_;
  Ref<Mlp> mlp_;
};

class Cait final : public TokenHeadModel, public TokenModel {
 public:
  Cait(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {}), depth_(c.depth) {
    default_levels_ = 3;
    const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
    patch_embed_ = add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                                 {.image = {size[0], size[1]}, .patch = c.patch_size}));
    cls_token_ = param("cls_token", {1, 1, c.embed_dim}, init::trunc_normal(0.02));
    pos_embed_ = param("pos_embed", {1, patch_embed_->patches(), c.embed_dim}, init::trunc_normal(0.02));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    const auto drop_path = static_cast<double>(o.drop_path_rate.value_or(0.0f));
    Sequential blocks, token_only;
    for (int i = 0; i < c.depth; ++i)
      blocks.add(ScaledBlock(c, std::make_unique<TalkingHeadAttention>(c),
                             {.mlp_ratio = c.mlp_ratio, .drop = c.proj_drop_rate, .drop_path = drop_path}));
    const ClassAttentionOptions attn{.heads = c.num_heads, .qkv_bias = c.qkv_bias};
    for (int i = 0; i < c.depth_token_only; ++i)
      token_only_.push_back(token_only.add(
          ScaledBlock(c, std::make_unique<ClassAttention>(c.embed_dim, attn), {.mlp_ratio = c.mlp_ratio_token_only})));
    blocks_ = add("blocks", std::move(blocks));
    blocks_token_only_ = add("blocks_token_only", std::move(token_only));
    norm_ = add("norm", LayerNorm(c.embed_dim));
    add_head(c.embed_dim);
    start_vit_values(*this, VitInit::timm, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    const Tensor x = run_levels(*blocks_, pos_drop_(patch_embed_(image) + *pos_embed_));
    if (!cls_token_) return norm_(x);
    return norm_(cat({class_token(x), x}, 1));
  }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed", "cls_token"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    std::vector<LayerGroup> rows{{0, "^cls_token"}, {0, "^pos_embed"}, {0, "^patch_embed"}, {1, "^blocks.#"}};
    const int first = depth_ - static_cast<int>(token_only_.size());  // the last ones share their layers
    for (size_t i = 0; i < token_only_.size(); ++i)
      rows.push_back({.group = 1, .pattern = str_cat("^blocks_token_only.", i), .number = first + static_cast<int>(i)});
    rows.push_back({.group = 1, .pattern = "^norm", .joins_previous = true});
    return rows;
  }

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  void drop_head() override { drop_late_token(*blocks_token_only_, cls_token_); }

 private:
  Tensor class_token(const Tensor& x) {
    const Scope scope("blocks_token_only");
    Tensor token = expand(cls_token_, {x.dim(0), 1, x.dim(2)});
    for (const Ref<ScaledBlock>& block : token_only_) token = (*block)(token, x);
    return token;
  }

  int depth_;
  Param cls_token_, pos_embed_;
  Ref<PatchEmbed> patch_embed_;
  Ref<Dropout> pos_drop_;
  Ref<Sequential> blocks_, blocks_token_only_;
  std::vector<Ref<ScaledBlock>> token_only_;
  Ref<LayerNorm> norm_;
};

constexpr Cfg cait(int dim, int depth, int heads, double init_values = 1e-5) {
  return {.embed_dim = dim, .depth = depth, .num_heads = heads, .init_values = init_values};
}
constexpr Variant<Cfg> variants[] = {
    {"cait_xxs24_224", cait(192, 24, 4)},      {"cait_xxs24_384", cait(192, 24, 4)},
    {"cait_xxs36_224", cait(192, 36, 4)},      {"cait_xxs36_384", cait(192, 36, 4)},
    {"cait_xs24_384", cait(288, 24, 6)},       {"cait_s24_224", cait(384, 24, 8)},
    {"cait_s24_384", cait(384, 24, 8)},        {"cait_s36_384", cait(384, 36, 8, 1e-6)},
    {"cait_m36_384", cait(768, 36, 16, 1e-6)}, {"cait_m48_448", cait(768, 48, 16, 1e-6)},
};

constexpr Rename kParallel[] = {{"module.", ""}};

}  // namespace

FOVEA_FAMILY(cait, Cait, variants, .accepts = {.img_size = true}, .renames = kParallel)

}  // namespace fovea::zoo::cait
