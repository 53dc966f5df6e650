// SPDX-License-Identifier: Apache-2.0
// zoo/families/gemma4_vit.cpp — the vision encoder of Gemma 4, which averages squares of tokens for a language model,
// by itself and with a classifier. timm.models.gemma4_vit; https://arxiv.org/abs/2607.02770
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/ops.h"
#include "nn/layers/token_pool.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vision_tower.h"
#include "zoo/family.h"
#include "zoo/sequence_model.h"

namespace fovea::zoo::gemma4_vit {
namespace {

struct Cfg {
  bool encoder_only = false;
  std::string_view encoder_pool = "";  // of the encoder in front of a classifier: "soft"
  int patch_size = 16, embed_dim = 768, depth = 16, num_heads = 12, head_dim = 64;
  int num_kv_heads = 0;  // fewer heads of keys and values; 0: as many as of queries
  int intermediate_size = 3072;
  double norm_eps = 1e-6, rope_theta = 100;
  int position_embedding_size = 10240, pooling_kernel_size = 3;
  bool standardize = false;          // merged tokens by learned means and factors
  bool use_clipped_linears = false;  // products keep operands and results within bounds that weights bring along
  Act act_layer = act::gelu_tanh;
  bool final_norm = true;  // in front of the classifier
  double proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, encoder_only, encoder_pool, patch_size, embed_dim, depth, num_heads, head_dim, num_kv_heads,
               intermediate_size, norm_eps, rope_theta, position_embedding_size, pooling_kernel_size, standardize,
               use_clipped_linears, act_layer, final_norm, proj_drop_rate, attn_drop_rate)

constexpr Init kStart = init::trunc_normal_tf(0.02);

class ClippedLinear final : public Module {
 public:
  ClippedLinear(int in, int out, bool clipped) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    if (clipped) {
      in_min_ = buffer("input_min", {}, init::constant(-inf));
      in_max_ = buffer("input_max", {}, init::constant(inf));
      out_min_ = buffer("output_min", {}, init::constant(-inf));
      out_max_ = buffer("output_max", {}, init::constant(inf));
    }
    linear_ = add("linear", Linear(in, out, false));
    linear_->weight.slot().init = kStart;
  }
  Tensor forward(const Tensor& x) override {
    if (!in_min_) return linear_(x);
    return minimum(maximum(linear_(minimum(maximum(x, in_min_), in_max_)), out_min_), out_max_);
  }

 private:
  Param in_min_, in_max_, out_min_, out_max_;
  Ref<Linear> linear_;
};

// Queries, keys and values are normalised; of queries and keys one half of the channels turns by columns and one by
// rows.
class Attention final : public SelfAttention {
 public:
  explicit Attention(const Cfg& c)
      : heads_(c.num_heads),
        kv_heads_(c.num_kv_heads ? c.num_kv_heads : c.num_heads),
        drop_(c.attn_drop_rate) {
    const int inner = heads_ * c.head_dim, kv = kv_heads_ * c.head_dim;
    if (heads_ % kv_heads_ != 0)
      throw Error(Error::Kind::argument, str_cat(heads_, " heads cannot share the keys of ", kv_heads_));
    q_ = add("q_proj", ClippedLinear(c.embed_dim, inner, c.use_clipped_linears));
    k_ = add("k_proj", ClippedLinear(c.embed_dim, kv, c.use_clipped_linears));
    v_ = add("v_proj", ClippedLinear(c.embed_dim, kv, c.use_clipped_linears));
    o_ = add("o_proj", ClippedLinear(inner, c.embed_dim, c.use_clipped_linears));
    q_norm_ = add("q_norm", RmsNorm(c.head_dim, c.norm_eps));
    k_norm_ = add("k_norm", RmsNorm(c.head_dim, c.norm_eps));
    v_norm_ = add("v_norm", RmsNorm(c.head_dim, c.norm_eps, false));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }

 private:
  Tensor attend(const Tensor& x, const AttentionContext& c) override {
    const bool drops = training() && drop_ > 0;
    const auto turned = [&](const Tensor& t) {
      return flatten(rotated(unflatten(t, -1, {2, t.dim(-1) / 2}), c.rotary), -2);
    };
    const auto spread = [&](const Tensor& t) {
      return kv_heads_ < heads_ ? repeat_interleave(t, heads_ / kv_heads_, 1) : t;
    };
    const Tensor q = turned(q_norm_(split_heads(q_(x), heads_))), k = turned(k_norm_(split_heads(k_(x), kv_heads_))),
                 v = v_norm_(split_heads(v_(x), kv_heads_));
    const AttentionOptions options{
        .scale = 1, .causal = c.causal, .dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0};
    return proj_drop_(o_(merge_heads(sdpa(q, spread(k), spread(v), c.mask, options))));
  }
  int heads_, kv_heads_;
  double drop_;
  Ref<ClippedLinear> q_, k_, v_, o_;
  Ref<RmsNorm> q_norm_, k_norm_, v_norm_;
  Ref<Dropout> proj_drop_;
};

class GatedMlp final : public Module {
 public:
  explicit GatedMlp(const Cfg& c) : act_(c.act_layer) {
    gate_ = add("gate_proj", ClippedLinear(c.embed_dim, c.intermediate_size, c.use_clipped_linears));
    up_ = add("up_proj", ClippedLinear(c.embed_dim, c.intermediate_size, c.use_clipped_linears));
    down_ = add("down_proj", ClippedLinear(c.intermediate_size, c.embed_dim, c.use_clipped_linears));
  }
  Tensor forward(const Tensor& x) override { return down_(activate(gate_(x), act_) * up_(x)); }

 private:
  Act act_;
  Ref<ClippedLinear> gate_, up_, down_;
};

// Norms at both ends of each branch.
class Block final : public VitBlock {
 public:
  Block(const Cfg& c, double drop_path) {
    norm1_ = add("norm1", RmsNorm(c.embed_dim, c.norm_eps));
    attn_ = add("attn", Attention(c));
    norm2_ = add("norm2", RmsNorm(c.embed_dim, c.norm_eps));
    norm3_ = add("norm3", RmsNorm(c.embed_dim, c.norm_eps));
    mlp_ = add("mlp", GatedMlp(c));
    norm4_ = add("norm4", RmsNorm(c.embed_dim, c.norm_eps));
    drop_path_ = add("drop_path", DropPath(drop_path));
  }

 private:
  Tensor pass(const Tensor& x, const AttentionContext& c) override {
    const Tensor y = x + drop_path_(norm2_(attn_(norm1_(x), c)));
    return y + drop_path_(norm4_(mlp_(norm3_(y))));
  }
  Ref<RmsNorm> norm1_, norm2_, norm3_, norm4_;
  Ref<Attention> attn_;
  Ref<GatedMlp> mlp_;
  Ref<DropPath> drop_path_;
};

// Patches of images from 0 to 1; a place is the sum of its column's and its row's embedding.
class PatchTable final : public Module {
 public:
  PatchTable(const Cfg& c, int channels) : channels_(channels), patch_(c.patch_size) {
    table_ = param("position_embedding_table", {2, c.position_embedding_size, c.embed_dim}, kStart);
    proj_ = add("input_proj", Linear(channels * patch_ * patch_, c.embed_dim, false));
    proj_->weight.slot().init = kStart;
  }
  Tensor forward(const Tensor& image) override {  // N,H,W,C
    const int64_t h = image.dim(2) / patch_, w = image.dim(3) / patch_;
    if (h * patch_ != image.dim(2) || w * patch_ != image.dim(3))
      throw Error(Error::Kind::shape,
                  str_cat("an image of ", image.dim(2), " x ", image.dim(3), " does not divide into patches of ",
                          patch_, " x ", patch_),
                  current_scope());
    if (std::max(h, w) > table_->dim(1))
      throw Error(Error::Kind::shape, str_cat("there are places for ", table_->dim(1), " patches in a row"),
                  current_scope());
    const Tensor kernel = reshape(proj_->weight, {-1, channels_, patch_, patch_});
    const Tensor x = permute(conv(affine(image, 2, -1), kernel, {}, {.stride = {patch_}}), {0, 2, 3, 1});
    return x + slice(slice(table_, 0, 0, 1), 1, 0, w) + permute(slice(slice(table_, 0, 1, 2), 1, 0, h), {1, 0, 2});
  }
  Tensor of(const PatchSequence& s) {
    const Scope scope(name());
    const int64_t n = s.patches.dim(0), length = s.patches.dim(1);
    const Tensor pixels = permute(reshape(s.patches, {n, length, patch_, patch_, channels_}), {0, 1, 4, 2, 3});
    const auto along = [&](int64_t axis) {
      return index_select(select(*table_, 0, 1 - axis), 0, cast(select(s.coords, 2, axis), DType::i64));
    };
    return proj_(affine(flatten(pixels, 2), 2, -1)) + along(1) + along(0);
  }

 private:
  int64_t channels_, patch_;
  Param table_;
  Ref<Linear> proj_;
};

class Gemma4Vit final : public VisionTower, public SequenceModel {
 public:
  Gemma4Vit(const Cfg& c, const ModelOptions& o)
      : VisionTower(o, {.encoder_only = c.encoder_only,
                        .merging = "soft",
                        .encoder_pool = c.encoder_pool == "none" ? "" : c.encoder_pool,
                        .embed_dim = c.embed_dim,
                        .merged_dim = c.embed_dim,
                        .rms = true,
                        .final_norm = c.final_norm,
                        .norm_eps = c.norm_eps,
                        .flat = true,
                        .head_joins = false}),
        cfg_(c) {
    patch_embed_ = place("patch_embed", PatchTable(c, o.in_chans.value_or(3)));
    rope_ = place("rotary_emb", RotaryEmbedding({.head_dim = c.head_dim,
                                                 .prefix = 0,
                                                 .temperature = c.rope_theta,
                                                 .columns_first = true,
                                                 .rotate_half = true}));
    DropPathRamp drop_path(o, c.depth);
    std::vector<std::unique_ptr<VitBlock>> blocks;
    for (int i = 0; i < c.depth; ++i) blocks.push_back(std::make_unique<Block>(c, drop_path.next()));
    place_blocks(std::move(blocks));
    if (c.standardize) {
      std_bias_ = place_buffer("std_bias", {c.embed_dim}, init::zeros());
      std_scale_ = place_buffer("std_scale", {c.embed_dim}, init::ones());
    }
    add_ends();
    if (auto* head = dynamic_cast<Linear*>(find("head"))) head->bias.slot().init = init::zeros();
  }
  Size2 token_grid(int64_t height, int64_t width) const override {
    return {static_cast<int>(height) / cfg_.patch_size, static_cast<int>(width) / cfg_.patch_size};
  }
  std::vector<std::string> no_weight_decay() const override { return {"position_embedding_table"}; }
  bool takes_sequences() const override { return !merges(); }
  Size2 sequence_patch() const override { return cfg_.patch_size; }
  SequenceFeatures sequence_features(const PatchSequence& s) override {
    const Tensor x = patch_embed_->of(s), places = cast(s.coords, DType::f32);
    const int64_t n = x.dim(0), length = x.dim(1);
    AttentionContext c(AttentionMask{.mask = reshape(s.valid, {n, 1, 1, length})});
    c.rotary = halved(rope_->at(places, places));
    return {.tokens = through(x, c), .valid = s.valid};
  }
  Tensor sequence_head(const SequenceFeatures& f, bool pre_logits) override {
    return classified(global_pool() == "avg" ? pool_valid_tokens(f.tokens, f.valid, "avg") : f.tokens, pre_logits);
  }

 private:
  Tokens enter(const Tensor& image) override {
    const Tensor map = patch_embed_(image);
    Tokens t{.x = flatten(map, 1, 2), .grid = token_grid(image.dim(2), image.dim(3)), .context = {}};
    t.context.rotary = halved(rope_->at(t.grid, 0, map.device()));
    return t;
  }
  // One half of the channels for each direction: [.., L, 2, head_dim / 2].
  Rotary halved(const Rotary& both) const {
    const auto halves = [&](const Tensor& table) {
      const Tensor each = unflatten(slice(table, -1, 0, cfg_.head_dim / 2), -1, {2, -1});
      return cat({each, each}, -1);
    };
    return {.sin = halves(both.sin), .cos = halves(both.cos), .half = true};
  }
  Tensor merged(const Tensor& map, bool) override {
    const int64_t k = cfg_.pooling_kernel_size, n = map.dim(0), h = map.dim(1) / k, w = map.dim(2) / k, c = map.dim(3);
    if (h * k != map.dim(1) || w * k != map.dim(2))
      throw Error(Error::Kind::shape,
                  str_cat(map.dim(1), " x ", map.dim(2), " patches do not divide into squares of ", k, " x ", k));
    const Tensor x = reshape(mean(reshape(map, {n, h, k, w, k, c}), {2, 4}), {n, h * w, c}) * std::sqrt(c);
    return std_bias_ ? (x - *std_bias_) * *std_scale_ : x;
  }

  Cfg cfg_;
  Ref<PatchTable> patch_embed_;
  Ref<RotaryEmbedding> rope_;
  Param std_bias_, std_scale_;
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kOriginal[] = {
    {"rotary_emb.**", nullptr},
    {"^patch_embedder", "patch_embed"},
    {"^encoder.layers", "blocks"},
    {"input_layernorm", "norm1"},
    {"post_attention_layernorm", "norm2"},
    {"pre_feedforward_layernorm", "norm3"},
    {"post_feedforward_layernorm", "norm4"},
    {"self_attn", "attn"},
};

// Of files that hold the language model as well only the encoder is wanted.
StateDict adapt(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const Gemma4Vit&>(model);
  StateDict source, w;
  for (const char* prefix : {"model.vision_tower.", "model.vision_model.", "vision_model.", "vision_tower."})
    if (source.size() == 0 && any_below(weights, prefix)) source = rename(below(weights, prefix), kOriginal);
  if (source.size() > 0) {
    for (const auto& [name, t] : source) w.set(vit.within(name), t);
    return w;
  }
  for (const auto& [name, t] : weights) {
    bool own = false;
    for (const char* part : {"patch_embed.", "blocks.", "std_"}) own = own || name.starts_with(part);
    w.set(own ? vit.within(name) : name, t);
  }
  return w;
}

constexpr Cfg with(Cfg c, bool encoder_only) {
  c.encoder_only = encoder_only;
  return c;
}
constexpr Cfg k167m{.use_clipped_linears = true}, k570m{.embed_dim = 1152,
                                                        .depth = 27,
                                                        .num_heads = 16,
                                                        .head_dim = 72,
                                                        .intermediate_size = 4304,
                                                        .standardize = true};
constexpr Variant<Cfg> variants[] = {
    {"gemma4_vit_167m", k167m},
    {"gemma4_vit_167m_enc", with(k167m, true)},
    {"gemma4_vit_570m", k570m},
    {"gemma4_vit_570m_enc", with(k570m, true)},
};

}  // namespace

FOVEA_FAMILY(gemma4_vit, Gemma4Vit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::gemma4_vit
