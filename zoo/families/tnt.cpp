// SPDX-License-Identifier: Apache-2.0
// zoo/families/tnt.cpp — TNT: a small transformer over the pixels of each patch within one over the patches.
// timm.models.tnt; https://arxiv.org/abs/2103.00112
#include <cmath>

#include "nn/checkpoint.h"
#include "nn/layers/attention.h"
#include "nn/layers/pos_embed.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::tnt {
namespace {

constexpr double kEps = 1e-5;

struct Cfg {
  int patch_size = 16, embed_dim = 768, inner_dim = 48, depth = 12, num_heads_inner = 4, num_heads_outer = 12;
  double mlp_ratio = 4;
  bool qkv_bias = false;
  int first_stride = 4;
  bool legacy = false;  // the image is convolved before it is cut into patches
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;

  int side() const { return (patch_size + first_stride - 1) / first_stride; }  // of the map of a patch
  int pixels() const { return side() * side(); }
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dim, inner_dim, depth, num_heads_inner, num_heads_outer, mlp_ratio, qkv_bias,
               first_stride, legacy, pos_drop_rate, proj_drop_rate, attn_drop_rate)

// N,C,H,W in squares of that size: [N * squares, C, side, side].
Tensor squares(const Tensor& x, int64_t side) {
  const int64_t h = x.dim(2) / side, w = x.dim(3) / side;
  const Tensor parts = reshape(x, {x.dim(0), x.dim(1), h, side, w, side});
  return reshape(permute(parts, {0, 2, 4, 1, 3, 5}), {-1, x.dim(1), side, side});
}

/// One product for queries and keys, one for values.
class Attention final : public Module {
 public:
  Attention(int dim, int heads, const Cfg& c) : heads_(heads), attn_drop_(c.attn_drop_rate) {
    head_channels(dim, heads);
    qk_ = add("qk", Linear(dim, 2 * dim, c.qkv_bias));
    v_ = add("v", Linear(dim, dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const bool drops = training() && attn_drop_ > 0;
    const AttentionOptions options{.scale = {}, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
    const std::vector<Tensor> qk = chunk(qk_(x), 2, -1);
    const Tensor q = split_heads(qk[0], heads_), k = split_heads(qk[1], heads_), v = split_heads(v_(x), heads_);
    return proj_drop_(proj_(merge_heads(sdpa(q, k, v, {}, options))));
  }

 private:
  int heads_;
  double attn_drop_;
  Ref<Linear> qk_, v_, proj_;
  Ref<Dropout> proj_drop_;
};

/// Tokens of the pixels [N * patches, pixels, C] and of the patches [N, 1 + patches, D].
struct Both {
  Tensor pixels, patches;
};

class Block final : public Module {
 public:
  Block(const Cfg& c, double drop_path) : legacy_(c.legacy) {
    const int in = c.inner_dim, out = c.embed_dim, all = c.inner_dim * c.pixels();
    norm_in_ = add("norm_in", LayerNorm(in, kEps));
    attn_in_ = add("attn_in", Attention(in, c.num_heads_inner, c));
    norm_mlp_in_ = add("norm_mlp_in", LayerNorm(in, kEps));
    mlp_in_ = add("mlp_in", Mlp(in, {.hidden = 4 * in, .drop = c.proj_drop_rate}));
    norm1_proj_ = add("norm1_proj", LayerNorm(legacy_ ? in : all, kEps));
    proj_ = add("proj", Linear(all, out, legacy_));
    if (!legacy_) norm2_proj_ = add("norm2_proj", LayerNorm(out, kEps));
    norm_out_ = add("norm_out", LayerNorm(out, kEps));
    attn_out_ = add("attn_out", Attention(out, c.num_heads_outer, c));
    drop_path_ = add("drop_path", DropPath(drop_path));
    norm_mlp_ = add("norm_mlp", LayerNorm(out, kEps));
    mlp_ = add("mlp", Mlp(out, {.hidden = static_cast<int>(out * c.mlp_ratio), .drop = c.proj_drop_rate}));
  }
  Both operator()(const Both& x) {
    const Scope scope(name());
    Tensor pixels = x.pixels + drop_path_(attn_in_(norm_in_(x.pixels)));
    pixels = pixels + drop_path_(mlp_in_(norm_mlp_in_(pixels)));
    const int64_t n = x.patches.dim(0), patches = x.patches.dim(1) - 1;
    const auto together = [&](const Tensor& t) { return reshape(t, {n, patches, -1}); };
    const Tensor inner =
        legacy_ ? proj_(together(norm1_proj_(pixels))) : norm2_proj_(proj_(norm1_proj_(together(pixels))));
    Tensor y = cat({slice(x.patches, 1, 0, 1), slice(x.patches, 1, 1, patches + 1) + inner}, 1);
    y = y + drop_path_(attn_out_(norm_out_(y)));
    return {pixels, y + drop_path_(mlp_(norm_mlp_(y)))};
  }

 private:
  bool legacy_;
  Ref<Module> norm_in_, attn_in_, norm_mlp_in_, mlp_in_, norm1_proj_, proj_, norm_out_, attn_out_, norm_mlp_, mlp_;
  Maybe<Module> norm2_proj_;
  Ref<DropPath> drop_path_;
};

struct PixelEmbed final : Module {
  PixelEmbed(int channels, const Cfg& c) {
    proj = add("proj", Conv2d(channels, c.inner_dim, 7, {.stride = c.first_stride, .padding = 3, .bias = true}));
  }
  Ref<Conv2d> proj;
};

class Tnt final : public TokenHeadModel, public TokenModel {
 public:
  Tnt(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {}), cfg_(c) {
    default_levels_ = 3;
    const auto [height, width] = o.img_size.value_or(std::array{224, 224});
    image_ = {height, width};
    const Size2 grid = token_grid(height, width);
    const int dim = c.embed_dim, all = c.inner_dim * c.pixels();
    const Init start = init::trunc_normal(0.02);
    cls_token_ = param("cls_token", {1, 1, dim}, start);
    patch_pos = param("patch_pos", {1, 1 + grid.h * grid.w, dim}, start);
    pixel_pos_ = param("pixel_pos", {1, c.inner_dim, c.side(), c.side()}, start);
    pixel_embed_ = add("pixel_embed", PixelEmbed(o.in_chans.value_or(3), c));
    norm1_proj_ = add("norm1_proj", LayerNorm(all, kEps));
    proj_ = add("proj", Linear(all, dim));
    norm2_proj_ = add("norm2_proj", LayerNorm(dim, kEps));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    DropPathRamp drop_path(o, c.depth);
    Sequential blocks;
    for (int i = 0; i < c.depth; ++i) blocks_.push_back(blocks.add(Block(c, drop_path.next())));
    add("blocks", std::move(blocks));
    norm_ = add("norm", LayerNorm(dim, kEps));
    add_head(dim);
    start_vit_values(*this, VitInit::timm, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    Both x = embed(image);
    for (const Ref<Block>& block : blocks_) {
      x = run_block(*block, x);
      if (tap(str_cat("blocks.", block->name()), x.patches)) break;
    }
    return norm_(x.patches);
  }
  int prefix_tokens() const override { return 1; }
  Size2 token_grid(int64_t height, int64_t width) const override {
    return {static_cast<int>(height) / cfg_.patch_size, static_cast<int>(width) / cfg_.patch_size};
  }
  std::vector<std::string> no_weight_decay() const override { return {"patch_pos", "pixel_pos", "cls_token"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    std::vector<LayerGroup> rows;
    for (const char* stem :
         {"^cls_token", "^patch_pos", "^pixel_pos", "^pixel_embed", "^norm1_proj", "^norm2_proj", "^proj"})
      rows.push_back({.group = 0, .pattern = stem});
    rows.push_back({.group = 1, .pattern = "^blocks.#"});
    rows.push_back({.group = 1, .pattern = "^norm", .joins_previous = true});
    return rows;
  }
  Size2 grid() const { return token_grid(image_.h, image_.w); }
  bool legacy() const { return cfg_.legacy; }
  Param patch_pos;

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }

 private:
  Both embed(const Tensor& image) {
    if (image.dim(2) != image_.h || image.dim(3) != image_.w)
      throw Error(
          Error::Kind::shape,
          str_cat("an image of ", image.dim(2), " x ", image.dim(3), " met a model for ", image_.h, " x ", image_.w),
          "create it with img_size");
    const auto convolved = [&](const Tensor& x) {
      const Scope scope("pixel_embed");
      return pixel_embed_->proj(x);
    };
    const Tensor maps =
        cfg_.legacy ? squares(convolved(image), cfg_.side()) : convolved(squares(image, cfg_.patch_size));
    const Tensor pixels = transpose(flatten(maps + *pixel_pos_, 2), 1, 2);
    const int64_t n = image.dim(0), dim = cfg_.embed_dim;
    const Tensor patches = norm2_proj_(proj_(norm1_proj_(reshape(pixels, {n, grid().h * grid().w, -1}))));
    return {pixels, pos_drop_(cat({expand(cls_token_, {n, 1, dim}), patches}, 1) + *patch_pos)};
  }
  Both run_block(Block& block, const Both& x) {
    const Scope scope("blocks");
    if (!recomputes()) return block(x);
    const auto call = [&block](std::span<const Tensor> in) -> Tensors {
      const Both y = block({in[0], in[1]});
      return {y.pixels, y.patches};
    };
    const Tensor in[] = {x.pixels, x.patches};
    const Tensors y = checkpointed(block, call, in);
    return {y[0], y[1]};
  }

  Cfg cfg_;
  Size2 image_;
  Param cls_token_, pixel_pos_;
  Ref<PixelEmbed> pixel_embed_;
  Ref<Module> norm1_proj_, proj_, norm2_proj_;
  Ref<Dropout> pos_drop_;
  std::vector<Ref<Block>> blocks_;
  Ref<LayerNorm> norm_;
};

constexpr Rename kOlder[] = {
    {"^outer_tokens", nullptr},      {"^outer_pos", "patch_pos"},  {"^inner_pos", "pixel_pos"},
    {"^patch_embed", "pixel_embed"}, {"proj_norm1", "norm1_proj"}, {"proj_norm2", "norm2_proj"},
    {"inner_norm1", "norm_in"},      {"inner_attn", "attn_in"},    {"inner_norm2", "norm_mlp_in"},
    {"inner_mlp", "mlp_in"},         {"outer_norm1", "norm_out"},  {"outer_attn", "attn_out"},
    {"outer_norm2", "norm_mlp"},     {"outer_mlp", "mlp"},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  const auto& tnt = dynamic_cast<const Tnt&>(model);
  StateDict w = weights.contains("patch_pos") ? std::move(weights) : rename(weights, kOlder);
  w.erase("outer_tokens");
  change(w, "pixel_pos", [&](const Tensor& t) {  // pixels were tokens
    if (t.rank() != 3 || tnt.legacy()) return t;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(t.dim(1)))));
    return unflatten(transpose(t, 1, 2), 2, {side, side});
  });
  if (const Tensor* t = w.find("patch_pos"); t && t->shape() != tnt.patch_pos->shape())
    change(w, "patch_pos", [&](const Tensor& old) { return resample_positions(old, tnt.grid(), {}, 1); });
  return w;
}

constexpr Variant<Cfg> variants[] = {
    {"tnt_s_legacy_patch16_224", {.embed_dim = 384, .inner_dim = 24, .num_heads_outer = 6, .legacy = true}},
    {"tnt_s_patch16_224", {.embed_dim = 384, .inner_dim = 24, .num_heads_outer = 6}},
    {"tnt_b_patch16_224", {.embed_dim = 640, .inner_dim = 40, .num_heads_outer = 10}},
};

}  // namespace

FOVEA_FAMILY(tnt, Tnt, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::tnt
