// SPDX-License-Identifier: Apache-2.0
// zoo/families/vision_transformer_sam.cpp — the image encoder of Segment Anything: a ViT over maps, most of whose
// blocks attend within windows, and a neck of convolutions. timm.models.vision_transformer_sam;
// https://arxiv.org/abs/2203.16527, https://arxiv.org/abs/2304.02643
#include <algorithm>
#include <array>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/decomposed_bias.h"
#include "nn/layers/layer_scale.h"
#include "nn/layers/patch_embed.h"
#include "nn/layers/pos_embed.h"
#include "nn/layers/rotary.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::vision_transformer_sam {
namespace {

struct Cfg {
  int embed_dim = 768, depth = 12, num_heads = 12, patch_size = 16;
  std::string_view global_attn_indexes = "2,5,8,11";  // blocks that see the whole map
  bool use_abs_pos = true, use_rel_pos = true, use_rope = false;
  std::array<int, 2> ref_feat_shape{0, 0};  // rotary: sides of the map and of windows that coordinates are scaled to
  int window_size = 14;                     // 0: no windows
  int neck_chans = 256;                     // 0: a norm instead, unless the head has one
  int head_hidden_size = 0;                 // of a layer between pooling and classifier; 0: there is none
  double mlp_ratio = 4;
  bool qkv_bias = true, qk_norm = false, pre_norm = false;
  double init_values = 0;  // what the factors of branches start as; 0: there are none
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  Act act_layer = act::gelu;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, embed_dim, depth, num_heads, patch_size, global_attn_indexes, use_abs_pos, use_rel_pos, use_rope,
               ref_feat_shape, window_size, neck_chans, head_hidden_size, mlp_ratio, qkv_bias, qk_norm, pre_norm,
               init_values, norm_layer, act_layer, pos_drop_rate, proj_drop_rate, attn_drop_rate)

std::unique_ptr<Module> norm(const Cfg& c, int dim) { return token_norm({.kind = c.norm_layer, .eps = 1e-5}, dim); }

/// Over the tokens of maps [N, L, C], with a bias by the query's products with learned vectors for each offset.
class MapAttention final : public Module {
 public:
  /// `made_for`: the map that the tables are for.
  MapAttention(const Cfg& c, Size2 made_for) : heads_(c.num_heads), drop_(c.attn_drop_rate) {
    const int dim = c.embed_dim, head = head_channels(dim, heads_);
    if (c.use_rel_pos) {
      down_ = param("rel_pos_h", {2 * made_for.h - 1, head}, init::zeros());
      across_ = param("rel_pos_w", {2 * made_for.w - 1, head}, init::zeros());
    }
    qkv_ = add("qkv", Linear(dim, 3 * dim, c.qkv_bias));
    if (c.qk_norm) {
      q_norm_ = add("q_norm", norm(c, head));
      k_norm_ = add("k_norm", norm(c, head));
    }
    proj_ = add("proj", Linear(dim, dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor operator()(const Tensor& x, Size2 map, const Rotary& rotary) {
    const Scope scope(name());
    const auto [first, second, v] = split_qkv(qkv_(x), heads_);
    const Tensor q = rotated(q_norm_(first), rotary), k = rotated(k_norm_(second), rotary);
    Tensor bias;
    if (down_) bias = decomposed_bias(q, table(down_, map.h), table(across_, map.w), map, map);
    const bool drops = training() && drop_ > 0;
    const Tensor y = sdpa(q, k, v, bias, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0});
    return proj_drop_(proj_(merge_heads(y)));
  }

 private:
  // Of maps of another side, the table is resized.
  static Tensor table(const Tensor& rows, int side) {
    if (rows.dim(0) == 2 * side - 1) return rows;
    const Tensor line = unsqueeze(unsqueeze(transpose(rows, 0, 1), 0), 2);
    const Tensor resized = interpolate(line, {1, 2 * side - 1}, {.mode = Interpolation::linear});
    return transpose(select(select(resized, 0, 0), 1, 0), 0, 1);
  }
  int heads_;
  double drop_;
  Param down_, across_;
  Ref<Module> qkv_, proj_, proj_drop_;
  Maybe<Module> q_norm_, k_norm_;
};

/// Over N,H,W,C.
class Block final : public Module {
 public:
  Block(const Cfg& c, int window, Size2 grid, RotaryEmbedding* rope, double drop_rate)
      : window_(window),
        turned_for_(window > 0 ? Size2(window) : grid),
        rope_(rope) {
    norm1_ = add("norm1", norm(c, c.embed_dim));
    attn_ = add("attn", MapAttention(c, turned_for_));
    if (c.init_values > 0) ls1_ = add("ls1", LayerScale(c.embed_dim, c.init_values));
    drop_path1_ = add("drop_path1", DropPath(drop_rate));
    norm2_ = add("norm2", norm(c, c.embed_dim));
    const int hidden = static_cast<int>(c.embed_dim * c.mlp_ratio);
    mlp_ = add("mlp", Mlp(c.embed_dim, {.hidden = hidden, .act = c.act_layer, .drop = c.proj_drop_rate}));
    if (c.init_values > 0) ls2_ = add("ls2", LayerScale(c.embed_dim, c.init_values));
    drop_path2_ = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Size2 map(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
    const Tensor y = x + in_windows(norm1_(x), window_ > 0 ? Size2(window_) : map, [&](const Tensor& tokens) {
                       const Rotary turns = rope_ ? rope_->at(turned_for_, 0, x.device()) : Rotary{};
                       return drop_path1_(ls1_((*attn_)(tokens, window_ > 0 ? Size2(window_) : map, turns)));
                     });
    return y + drop_path2_(ls2_(mlp_(norm2_(y))));
  }

 private:
  int window_;  // 0: attention to all
  Size2 turned_for_;
  RotaryEmbedding* rope_;
  Ref<Module> norm1_, drop_path1_, norm2_, mlp_, drop_path2_;
  Ref<MapAttention> attn_;
  Maybe<Module> ls1_, ls2_;
};

class VisionTransformerSam final : public HeadedModel {
 public:
  VisionTransformerSam(const Cfg& c, const ModelOptions& o) : HeadedModel(o), embed_dim_(c.embed_dim) {
    if (c.use_rope && c.use_rel_pos) throw Error(Error::Kind::argument, "use_rope and use_rel_pos exclude each other");
    default_levels_ = 3;
    const std::array<int, 2> image = o.img_size.value_or(std::array{1024, 1024});
    patch_embed_ = add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                                 {.image = {image[0], image[1]},
                                                  .patch = c.patch_size,
                                                  .bias = !c.pre_norm,
                                                  .strict_size = false,
                                                  .flatten = false}));
    const Size2 grid = patch_embed_->grid();
    if (c.use_abs_pos) pos_embed_ = param("pos_embed", {1, grid.h, grid.w, c.embed_dim}, init::zeros());
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    if (c.pre_norm) norm_pre_ = add("norm_pre", norm(c, c.embed_dim));
    add_blocks(c, grid, static_cast<double>(o.drop_path_rate.value_or(0.0f)));
    neck_ = add("neck", neck(c));
    const int channels = c.neck_chans > 0 ? c.neck_chans : c.embed_dim;
    if (c.head_hidden_size > 0) {
      const NormMlpHeadOptions options{
          .pool = wanted_pool("avg"), .drop_rate = static_cast<double>(drop_rate_), .hidden = c.head_hidden_size};
      head(channels, std::make_unique<NormMlpClassifierHead>(channels, num_classes_, options));
    } else {
      head(channels);
    }
  }
  Tensor forward_features(const Tensor& image) override {
    Tensor x = patch_embed_(image);
    if (pos_embed_) x = x + positions(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
    x = norm_pre_(pos_drop_(x));
    for (const auto& block : blocks_->children()) {
      {
        const Scope scope("blocks");
        x = run(*block, x);
      }
      if (tap(str_cat("blocks.", block->name()), x, TapKind::block, 3)) break;
    }
    return neck_(permute(x, {0, 3, 1, 2}));
  }
  /// The neck counts as the norm behind the levels, whichever of them is the last.
  std::vector<int> prune(const PruneOptions& o = {}) override {
    PruneOptions mine = o;
    mine.head = o.head || (o.norm && num_features_ != embed_dim_);
    if (o.norm) num_features_ = embed_dim_;
    return ImageModel::prune(mine);
  }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {
        {0, "^pos_embed"}, {0, "patch_embed"}, {1, "^blocks.#"}, {.group = 1, .pattern = "^norm_pre", .number = 99999}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"neck"}, .convs = {}, .one_width = true}; }
  Tensor final_norm(const Tap& tapped) override {
    return permute(neck_(permute(tapped.value, {0, 3, 1, 2})), {0, 2, 3, 1});
  }

 private:
  void add_blocks(const Cfg& c, Size2 grid, double drop_path_rate) {
    std::vector<int> global;
    for (const std::string& number : split_list(c.global_attn_indexes))
      if (!read_setting(number, global.emplace_back()))
        throw Error(Error::Kind::argument, str_cat("global_attn_indexes has '", number, "'"),
                    "it lists numbers of blocks");
    std::array<RotaryEmbedding*, 2> ropes{};
    for (size_t i = 0; i < 2 && c.use_rope; ++i)
      ropes[i] = add(i == 0 ? "rope_global" : "rope_window", RotaryEmbedding({.head_dim = c.embed_dim / c.num_heads,
                                                                              .heads = c.num_heads,
                                                                              .prefix = 0,
                                                                              .ref_feat_shape = c.ref_feat_shape[i]}))
                     .get();
    DropPathRamp drop_path(drop_path_rate, c.depth);
    Sequential blocks;
    for (int i = 0; i < c.depth; ++i) {
      const bool whole = c.window_size == 0 || std::ranges::count(global, i) > 0;
      blocks.add(Block(c, whole ? 0 : c.window_size, grid, ropes[whole ? 0 : 1], drop_path.next()));
    }
    blocks_ = add("blocks", std::move(blocks));
  }
  static std::unique_ptr<Module> neck(const Cfg& c) {
    if (c.neck_chans == 0 && c.head_hidden_size > 0) return std::make_unique<Identity>();
    if (c.neck_chans == 0) return std::make_unique<LayerNorm2d>(c.embed_dim);
    auto layers = std::make_unique<Sequential>();
    layers->add(Conv2d(c.embed_dim, c.neck_chans, 1));
    layers->add(LayerNorm2d(c.neck_chans));
    layers->add(Conv2d(c.neck_chans, c.neck_chans, 3));
    layers->add(LayerNorm2d(c.neck_chans));
    return layers;
  }
  Tensor positions(int height, int width) const {
    if (pos_embed_->dim(1) == height && pos_embed_->dim(2) == width) return pos_embed_;
    const Size2 old(static_cast<int>(pos_embed_->dim(1)), static_cast<int>(pos_embed_->dim(2)));
    return unflatten(resample_positions(flatten(pos_embed_, 1, 2), {height, width}, old, 0), 1, {height, width});
  }

  int embed_dim_;
  Param pos_embed_;
  Ref<PatchEmbed> patch_embed_;
  Ref<Module> pos_drop_, blocks_, neck_;
  Maybe<Module> norm_pre_;
};

// Of the whole of Segment Anything only the encoder counts.
StateDict adapt(ImageModel&, StateDict weights) {
  constexpr Rename original[] = {{"mlp.lin1", "mlp.fc1"}, {"mlp.lin2", "mlp.fc2"}};
  if (!weights.contains("image_encoder.patch_embed.proj.weight")) return weights;
  return rename(below(weights, "image_encoder."), original);
}

constexpr Variant<Cfg> variants[] = {
    {"samvit_base_patch16", {}},
    {"samvit_base_patch16_224", {.use_abs_pos = false, .neck_chans = 0}},
    {"samvit_huge_patch16", {.embed_dim = 1280, .depth = 32, .num_heads = 16, .global_attn_indexes = "7,15,23,31"}},
    {"samvit_large_patch16", {.embed_dim = 1024, .depth = 24, .num_heads = 16, .global_attn_indexes = "5,11,17,23"}},
};

}  // namespace

FOVEA_FAMILY(vision_transformer_sam, VisionTransformerSam, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::vision_transformer_sam
