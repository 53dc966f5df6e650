// SPDX-License-Identifier: Apache-2.0
// zoo/families/pit.cpp — PiT: a ViT in three stages, between which a convolution makes the map of tokens smaller.
// timm.models.pit; https://arxiv.org/abs/2103.16302
#include "zoo/blocks/stages.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/family.h"

namespace fovea::zoo::pit {
namespace {

struct Cfg {
  int patch_size = 16, stride = 8;
  int base_dim = 48;  // channels of a head
  std::array<int, 3> depth{2, 6, 4}, heads{2, 4, 8};
  double mlp_ratio = 4;
  bool distilled = false;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, patch_size, stride, base_dim, depth, heads, mlp_ratio, distilled, pos_drop_rate, proj_drop_rate,
               attn_drop_rate)

Tensor to_tokens(const Tensor& map) { return transpose(flatten(map, 2), 1, 2); }
Tensor to_map(const Tensor& tokens, Size2 grid) { return unflatten(transpose(tokens, 1, 2), 2, {grid.h, grid.w}); }

/// Convolution with overlapping patches.
class ConvEmbedding final : public Module {
 public:
  ConvEmbedding(int channels, int dim, const Cfg& c) {
    conv_ = add("conv", Conv2d(channels, dim, c.patch_size, {.stride = c.stride, .padding = 0, .bias = true}));
  }
  Tensor forward(const Tensor& image) override { return conv_(image); }

 private:
  Ref<Conv2d> conv_;
};

/// Half the height and width, twice the channels; other tokens get as many.
struct Pooling final : Module {
  Pooling(int in, int out) {
    conv = add("conv", Conv2d(in, out, 3, {.stride = 2, .groups = in, .padding = 1, .bias = true}));
    fc = add("fc", Linear(in, out));
  }
  Ref<Conv2d> conv;
  Ref<Linear> fc;
};

/// Class tokens [N, T, C] and the map N,C,H,W of the others.
struct Both {
  Tensor class_tokens, map;
};

class Stage final : public Module {
 public:
  Stage(const Cfg& c, size_t stage, DropPathRamp& drop_path) {
    const int dim = c.base_dim * c.heads[stage];
    if (stage > 0) pool_ = add("pool", Pooling(c.base_dim * c.heads[stage - 1], dim));
    Sequential blocks;
    for (int i = 0; i < c.depth[stage]; ++i)
      blocks.add(vit_block(VitBlockKind::pre_norm, {.dim = dim,
                                                    .hidden = static_cast<int>(dim * c.mlp_ratio),
                                                    .attn = {.heads = c.heads[stage],
                                                             .qkv_bias = true,
                                                             .attn_drop = c.attn_drop_rate,
                                                             .proj_drop = c.proj_drop_rate},
                                                    .drop_path = drop_path.next()}));
    blocks_ = add("blocks", std::move(blocks));
  }

  /// With `recompute` the blocks run again in the backward pass.
  Both operator()(const Both& x, bool recompute) {
    const Scope scope(name());
    const Both pooled = pool_ ? halved(x) : x;
    const Size2 grid(static_cast<int>(pooled.map.dim(2)), static_cast<int>(pooled.map.dim(3)));
    const int64_t prefix = pooled.class_tokens.dim(1);
    const Tensor tokens = cat({pooled.class_tokens, to_tokens(pooled.map)}, 1);
    const Tensor y = recompute ? checkpointed(*blocks_, tokens) : blocks_(tokens);
    return {slice(y, 1, 0, prefix), to_map(slice(y, 1, prefix, y.dim(1)), grid)};
  }

 private:
  Both halved(const Both& x) {
    const Scope scope("pool");
    return {pool_->fc(x.class_tokens), pool_->conv(x.map)};
  }
  Maybe<Pooling> pool_;
  Ref<Sequential> blocks_;
};

class Pit final : public TokenHeadModel {
 public:
  Pit(const Cfg& c, const ModelOptions& o)
      : TokenHeadModel(o, {.known = "token", .prefix = c.distilled ? 2 : 1, .distilled = c.distilled}) {
    const auto [height, width] = o.img_size.value_or(std::array{224, 224});
    const int dim = c.base_dim * c.heads[0];
    const auto side = [&](int size) { return (size - c.patch_size) / c.stride + 1; };
    patch_embed_ = add("patch_embed", ConvEmbedding(o.in_chans.value_or(3), dim, c));
    pos_embed_ = param("pos_embed", {1, dim, side(height), side(width)}, init::trunc_normal(0.02));
    cls_token_ = param("cls_token", {1, pools_.prefix, dim}, init::trunc_normal(0.02));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    DropPathRamp drop_path(o, c.depth);
    Sequential transformers;
    for (size_t i = 0; i < 3; ++i) stages_.push_back(transformers.add(Stage(c, i, drop_path)));
    add("transformers", std::move(transformers));
    norm_ = add("norm", LayerNorm(c.base_dim * c.heads[2]));
    add_head(c.base_dim * c.heads[2]);
  }

  Tensor forward_features(const Tensor& image) override {
    const Tensor map = patch_embed_(image);
    if (map.dim(2) != pos_embed_->dim(2) || map.dim(3) != pos_embed_->dim(3))
      throw Error(Error::Kind::shape,
                  str_cat("an image of ", image.dim(2), " x ", image.dim(3), " met a model for ", input_size()[1],
                          " x ", input_size()[2]),
                  "create it with img_size");
    Both x{expand(cls_token_, {map.dim(0), cls_token_->dim(1), map.dim(1)}), pos_drop_(map + *pos_embed_)};
    for (const Ref<Stage>& stage : stages_) {
      {
        const Scope scope("transformers");
        x = (*stage)(x, recomputes());
      }
      const bool last = stage.get() == stages_.back().get();
      if (tap(str_cat("transformers.", stage->name()), x.map) && !last) return x.class_tokens;
    }
    return norm_(x.class_tokens);
  }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed", "cls_token"}; }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  void drop_head() override {  // the norm was for the class tokens alone
    norm_->vacate();
    if (head_dist_) head_dist_->vacate();
    head_dist_ = {};
    pools_.distilled = false;
    TokenHeadModel::drop_head();
  }

 private:
  Param pos_embed_, cls_token_;
  Ref<ConvEmbedding> patch_embed_;
  Ref<Dropout> pos_drop_;
  std::vector<Ref<Stage>> stages_;
  Ref<LayerNorm> norm_;
};

constexpr Cfg ti{.base_dim = 32}, xs{}, s{.heads{3, 6, 12}},
    b{.patch_size = 14, .stride = 7, .base_dim = 64, .depth{3, 6, 4}, .heads{4, 8, 16}};
constexpr Cfg distilled(Cfg c) {
  c.distilled = true;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"pit_ti_224", ti},
    {"pit_xs_224", xs},
    {"pit_s_224", s},
    {"pit_b_224", b},
    {"pit_ti_distilled_224", distilled(ti)},
    {"pit_xs_distilled_224", distilled(xs)},
    {"pit_s_distilled_224", distilled(s)},
    {"pit_b_distilled_224", distilled(b)},
};

// The first checkpoints count the convolutions between the stages by themselves.
constexpr Rename kPools[] = {{"^pools.0", "transformers.1.pool"}, {"^pools.1", "transformers.2.pool"}};

}  // namespace

FOVEA_FAMILY(pit, Pit, variants, .accepts = {.img_size = true}, .renames = kPools)

}  // namespace fovea::zoo::pit
