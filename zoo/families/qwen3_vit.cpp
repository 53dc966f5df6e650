// SPDX-License-Identifier: Apache-2.0
// zoo/families/qwen3_vit.cpp — the vision encoder of Qwen3-VL and Qwen3.5, which merges tokens for a language model, by
// itself and with a classifier. timm.models.qwen3_vit; https://arxiv.org/abs/2511.21631
#include "engine/ops/ops.h"
#include "nn/layers/pos_embed.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vision_tower.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::qwen3_vit {
namespace {

struct Cfg {
  bool encoder_only = false;
  std::string_view encoder_pool = "";  // of the encoder in front of a classifier: "merge"
  int out_features = 1024;             // channels of merged tokens; 0: as the hidden layer of merging
  int patch_size = 16, embed_dim = 768, depth = 12, num_heads = 12;
  double mlp_ratio = 4;
  int merge_size = 2, pos_embed_grid_size = 48;
  double rope_temperature = 10000, norm_eps = 1e-6;
  Act act_layer = act::gelu_tanh;
  bool final_norm = true;  // in front of the classifier
  double proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, encoder_only, encoder_pool, out_features, patch_size, embed_dim, depth, num_heads, mlp_ratio,
               merge_size, pos_embed_grid_size, rope_temperature, norm_eps, act_layer, final_norm, proj_drop_rate,
               attn_drop_rate)

int hidden_of(const Cfg& c) { return c.embed_dim * c.merge_size * c.merge_size; }

/// Squares of normalised tokens become one each, for a language model: N,H,W,C -> [N, L, out].
class Merger final : public TokenMerger {
 public:
  explicit Merger(const Cfg& c) : side_(c.merge_size) {
    norm_ = add("norm", LayerNorm(c.embed_dim, c.norm_eps));
    fc1_ = add("fc1", Linear(hidden_of(c), hidden_of(c)));
    if (c.out_features > 0) fc2_ = add("fc2", Linear(hidden_of(c), c.out_features));
  }

 private:
  Tensor merge(const Tensor& x, bool hidden_only) override {
    const int64_t n = x.dim(0), h = x.dim(1) / side_, w = x.dim(2) / side_, c = x.dim(3);
    if (h * side_ != x.dim(1) || w * side_ != x.dim(2))
      throw Error(Error::Kind::shape,
                  str_cat(x.dim(1), " x ", x.dim(2), " patches do not divide into squares of ", side_, " x ", side_),
                  current_scope());
    const Tensor squares = permute(reshape(norm_(x), {n, h, side_, w, side_, c}), {0, 1, 3, 2, 4, 5});
    const Tensor y = activate(fc1_(reshape(squares, {n, h * w, side_ * side_ * c})), act::gelu);
    return hidden_only ? y : fc2_(y);
  }
  int side_;
  Ref<LayerNorm> norm_;
  Ref<Linear> fc1_;
  Maybe<Linear> fc2_;
};

class Qwen3Vit final : public VisionTower {
 public:
  Qwen3Vit(const Cfg& c, const ModelOptions& o)
      : VisionTower(o, {.encoder_only = c.encoder_only,
                        .encoder_pool = c.encoder_pool,
                        .embed_dim = c.embed_dim,
                        .merged_dim = c.out_features > 0 ? c.out_features : hidden_of(c),
                        .final_norm = c.final_norm,
                        .norm_eps = c.norm_eps,
                        .stem = {"patch_embed", "pos_embed"},
                        .behind = {"merger"}}),
        cfg_(c) {
    patch_embed_ = place("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                                   {.image = 0, .patch = c.patch_size, .flatten = false}));
    pos_embed_ = place_param("pos_embed", {1, c.pos_embed_grid_size * c.pos_embed_grid_size, c.embed_dim},
                             init::trunc_normal(0.02));
    rope_ = place("rope", RotaryEmbedding({.head_dim = head_channels(c.embed_dim, c.num_heads),
                                           .prefix = 0,
                                           .temperature = c.rope_temperature,
                                           .rotate_half = true}));
    DropPathRamp drop_path(o, c.depth);
    const SelfAttentionOptions attn{
        .heads = c.num_heads, .qkv_bias = true, .attn_drop = c.attn_drop_rate, .proj_drop = c.proj_drop_rate};
    std::vector<std::unique_ptr<VitBlock>> blocks;
    for (int i = 0; i < c.depth; ++i)
      blocks.push_back(vit_block(VitBlockKind::pre_norm, {.dim = c.embed_dim,
                                                          .hidden = static_cast<int>(c.embed_dim * c.mlp_ratio),
                                                          .attn = attn,
                                                          .norm = {.eps = c.norm_eps},
                                                          .act = c.act_layer,
                                                          .drop_path = drop_path.next()}));
    place_blocks(std::move(blocks));
    if (merges()) place_merger("merger", Merger(c));
    add_ends();
    start_vit_values(*this, VitInit::timm, num_classes_);
  }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed"}; }

 private:
  Tokens enter(const Tensor& image) override {
    const Tensor map = patch_embed_(image);
    const Size2 grid(static_cast<int>(map.dim(1)), static_cast<int>(map.dim(2)));
    const Tensor positions =
        resample_positions(pos_embed_, grid, Size2(cfg_.pos_embed_grid_size), 0,
                           {.mode = Interpolation::linear, .antialias = false, .align_corners = true});
    Tokens t{.x = flatten(map, 1, 2) + positions, .grid = grid, .context = {}};
    t.context.rotary = rope_->at(grid, 0, map.device());
    return t;
  }

  Cfg cfg_;
  Param pos_embed_;
  Ref<PatchEmbed> patch_embed_;
  Ref<RotaryEmbedding> rope_;
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kOriginal[] = {
    {"^pos_embed.weight", "pos_embed"},
    {"linear_fc1", "fc1"},
    {"linear_fc2", "fc2"},
};

// Of files that hold the language model as well only the encoder is wanted. Its patches have two frames, which of an
// image are the same.
StateDict encoder_of(const StateDict& weights, bool merges) {
  StateDict w = weights;
  for (const char* prefix : {"vlm.model.visual.", "model.visual.", "visual.", "encoder."})
    if (any_below(weights, prefix)) {
      w = below(weights, prefix);
      break;
    }
  w = rename(w, kOriginal);
  for (const std::string& name : w.names()) {
    bool known = merges && name.starts_with("merger.");
    for (const char* part : {"patch_embed.", "pos_embed", "blocks."}) known = known || name.starts_with(part);
    if (!known) w.erase(name);
  }
  change(w, "pos_embed", [](const Tensor& t) { return t.rank() == 2 ? unsqueeze(t, 0) : t; });
  change(w, "patch_embed.proj.weight",
         [](const Tensor& t) { return t.rank() == 5 ? sum(cast(t, DType::f64), {2}) : t; });
  return w;
}

StateDict adapt(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const Qwen3Vit&>(model);
  StateDict w;
  for (const auto& [name, t] : encoder_of(weights, vit.merges())) w.set(vit.within(name), t);
  if (!vit.alone())
    for (const auto& [name, t] : weights)
      if (name.starts_with("head.")) w.set(name, t);
  return w;
}

constexpr Cfg with(Cfg c, std::string_view encoder_pool, bool encoder_only = false) {
  c.encoder_pool = encoder_pool;
  c.encoder_only = encoder_only;
  return c;
}
constexpr Cfg k88m{}, k306m{.out_features = 2048, .embed_dim = 1024, .depth = 24, .num_heads = 16},
    k416m{.out_features = 5120, .embed_dim = 1152, .depth = 27, .num_heads = 16, .mlp_ratio = 4304 / 1152.0};
constexpr Variant<Cfg> variants[] = {
    {"qwen3_vit_88m", k88m},
    {"qwen3_vit_88m_merge", with(k88m, "merge")},
    {"qwen3_vit_306m", k306m},
    {"qwen3_vit_306m_merge", with(k306m, "merge")},
    {"qwen3_vit_416m", k416m},
    {"qwen3_vit_416m_merge", with(k416m, "merge")},
    {"qwen3_vit_88m_enc", with(k88m, "", true)},
    {"qwen3_vit_306m_enc", with(k306m, "", true)},
    {"qwen3_vit_416m_enc", with(k416m, "", true)},
};

// Merged tokens are as wide as the language model that the weights came with.
constexpr TagSetting tags[] = {
    {"qwen3_5_4b", "out_features", "2560"},        {"qwen3_vl_4b", "out_features", "2560"},
    {"qwen_drive_1_0_4b", "out_features", "2560"}, {"qwen3_8_flash_next", "out_features", "2560"},
    {"qwen3_5_9b", "out_features", "4096"},        {"qwen3_vl_8b", "out_features", "4096"},
    {"qwen3_vl_30b_a3b", "out_features", "2048"},  {"qwen3_vl_235b_a22b", "out_features", "4096"},
};

}  // namespace

FOVEA_FAMILY(qwen3_vit, Qwen3Vit, variants, .accepts = {.img_size = true}, .adapt = adapt, .tag_settings = tags)

}  // namespace fovea::zoo::qwen3_vit
