// SPDX-License-Identifier: Apache-2.0
// zoo/families/deepseek_vit.cpp — the vision encoder of DeepSeek-V4, which projects tokens for a language model, by
// itself and with a classifier. timm.models.deepseek_vit; https://arxiv.org/abs/2609.19969
#include "nn/layers/rotary.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vision_tower.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::deepseek_vit {
namespace {

struct Cfg {
  bool encoder_only = false;
  std::string_view encoder_pool = "";  // of the encoder in front of a classifier: "align" projects tokens
  int out_features = 5120;             // channels of projected tokens
  int patch_size = 14, embed_dim = 1024, depth = 32, num_heads = 16;
  double mlp_ratio = 2.75;
  int downsample_ratio = 3;  // so many rows and columns of tokens become one
  double rope_temperature = 10000, norm_eps = 1e-6;
  bool final_norm = true;  // in front of the classifier
  double proj_drop_rate = 0, attn_drop_rate = 0;
  bool dynamic_img_pad = false;
};
FOVEA_SETTINGS(Cfg, encoder_only, encoder_pool, out_features, patch_size, embed_dim, depth, num_heads, mlp_ratio,
               downsample_ratio, rope_temperature, norm_eps, final_norm, proj_drop_rate, attn_drop_rate,
               dynamic_img_pad)

/// Squares of tokens become one each, for a language model: N,H,W,C -> [N, L, out].
class Aligner final : public TokenMerger {
 public:
  explicit Aligner(const Cfg& c) : side_(c.downsample_ratio) {
    if (c.out_features < 1 || side_ < 1)
      throw Error(Error::Kind::argument, "out_features and downsample_ratio of the aligner are positive");
    fc1_ = add("fc1", Linear(c.embed_dim * side_ * side_, c.out_features));
    fc2_ = add("fc2", Linear(c.out_features, c.out_features));
  }

 private:
  Tensor merge(const Tensor& x, bool hidden_only) override {
    const Tensor whole = filled_to_windows(x, side_);
    const int64_t n = x.dim(0), h = whole.dim(1) / side_, w = whole.dim(2) / side_, c = x.dim(3);
    const Tensor squares = permute(reshape(whole, {n, h, side_, w, side_, c}), {0, 1, 3, 5, 2, 4});
    const Tensor y = activate(fc1_(reshape(squares, {n, h * w, c * side_ * side_})), act::gelu);
    return hidden_only ? y : fc2_(y);
  }
  int side_;
  Ref<Linear> fc1_, fc2_;
};

class DeepseekVit final : public VisionTower {
 public:
  DeepseekVit(const Cfg& c, const ModelOptions& o)
      : VisionTower(o, {.encoder_only = c.encoder_only,
                        .merging = "align",
                        .encoder_pool = c.encoder_pool,
                        .embed_dim = c.embed_dim,
                        .merged_dim = c.out_features,
                        .rms = true,
                        .final_norm = c.final_norm,
                        .norm_eps = c.norm_eps,
                        .behind = {"norm", "aligner"}}),
        cfg_(c) {
    const TokenNorm norm{.kind = TokenNorm::Kind::rms, .eps = c.norm_eps};
    patch_embed_ = place("patch_embed",
                         PatchEmbed(o.in_chans.value_or(3), c.embed_dim,
                                    {.image = 0, .patch = c.patch_size, .pad = c.dynamic_img_pad, .flatten = false}));
    rope_ = place("rope", RotaryEmbedding({.head_dim = head_channels(c.embed_dim, c.num_heads),
                                           .heads = c.num_heads,
                                           .depth = c.depth,
                                           .prefix = 0,
                                           .temperature = c.rope_temperature,
                                           .rotate_half = true}));
    DropPathRamp drop_path(o, c.depth);
    std::vector<std::unique_ptr<VitBlock>> blocks;
    for (int i = 0; i < c.depth; ++i)
      blocks.push_back(vit_block(VitBlockKind::pre_norm, {.dim = c.embed_dim,
                                                          .hidden = 2 * static_cast<int>(c.embed_dim * c.mlp_ratio),
                                                          .attn = {.heads = c.num_heads,
                                                                   .qkv_bias = true,
                                                                   .attn_drop = c.attn_drop_rate,
                                                                   .proj_drop = c.proj_drop_rate},
                                                          .norm = norm,
                                                          .act = act::silu,
                                                          .mlp = VitMlp::swiglu_packed,
                                                          .mlp_bias = false,
                                                          .drop_path = drop_path.next()}));
    place_blocks(std::move(blocks));
    const Ref<Module> last = place("norm", token_norm(norm, c.embed_dim));
    if (merges()) place_merger("aligner", Aligner(c));
    add_ends(last);
    start_vit_values(*this, VitInit::eva, num_classes_);  // gates stay as they are
  }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  const Cfg& cfg() const { return cfg_; }

 private:
  Tokens enter(const Tensor& image) override {
    const Tensor map = patch_embed_(image);
    const Size2 grid(static_cast<int>(map.dim(1)), static_cast<int>(map.dim(2)));
    Tokens t{.x = flatten(map, 1, 2), .grid = grid, .context = {}};
    t.context.rotary = rope_->at(grid, 0, map.device());
    return t;
  }

  Cfg cfg_;
  Ref<PatchEmbed> patch_embed_;
  Ref<RotaryEmbedding> rope_;
};

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kOriginal[] = {
    {"attn.wqkv", "attn.qkv"}, {"attn.wo", "attn.proj"},       {"mlp.w1", "mlp.fc1"},
    {"mlp.w2", "mlp.fc2"},     {"^aligner.w1", "aligner.fc1"}, {"^aligner.w2", "aligner.fc2"},
};

// Of files that hold the language model as well only the encoder is wanted; its names are those of the bare encoder.
StateDict encoder_of(const StateDict& weights, bool aligns) {
  const bool source = any_below(weights, "vision."), classifier = !source && any_below(weights, "encoder.");
  StateDict w = source ? below(weights, "vision.") : classifier ? below(weights, "encoder.") : weights;
  if (source)
    for (const auto& [name, t] : below(weights, "aligner.")) w.set("aligner." + name, t);
  w = rename(w, kOriginal);
  for (const std::string& name : w.names()) {
    bool known = false;
    for (const char* part : {"patch_embed.", "blocks.", "norm.", "aligner."}) known = known || name.starts_with(part);
    if (!known || (!aligns && name.starts_with("aligner."))) w.erase(name);
  }
  return w;
}

StateDict adapt(ImageModel& model, StateDict weights) {
  const auto& vit = dynamic_cast<const DeepseekVit&>(model);
  StateDict encoder = encoder_of(weights, vit.merges()), w;
  change(encoder, "patch_embed.proj.weight", [&](const Tensor& t) {  // patches were read by a linear layer
    return t.rank() == 2 ? reshape(t, {t.dim(0), -1, vit.cfg().patch_size, vit.cfg().patch_size}) : t;
  });
  for (const auto& [name, t] : encoder) w.set(vit.within(name), t);
  if (!vit.alone() && any_below(weights, "encoder.") && !any_below(weights, "vision."))
    for (const auto& [name, t] : weights)
      if (name.starts_with("norm.") || name.starts_with("head.")) w.set(name, t);
  return w;
}

constexpr Variant<Cfg> variants[] = {
    {"deepseek_vit_412m", {}},
    {"deepseek_vit_412m_align", {.encoder_pool = "align"}},
    {"deepseek_vit_412m_enc", {.encoder_only = true}},
};

}  // namespace

FOVEA_FAMILY(deepseek_vit, DeepseekVit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::deepseek_vit
