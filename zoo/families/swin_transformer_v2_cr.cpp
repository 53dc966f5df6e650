// SPDX-License-Identifier: Apache-2.0
// zoo/families/swin_transformer_v2_cr.cpp — Swin V2 as Christoph Reich wrote it before its code was published: windows
// are a part of the image, and some blocks end with a norm. timm.models.swin_transformer_v2_cr;
// https://arxiv.org/abs/2111.09883
#include <cmath>

#include "nn/layers/log_offsets.h"
#include "zoo/blocks/patch_merging.h"
#include "zoo/blocks/swin.h"
#include "zoo/family.h"

namespace fovea::zoo::swin_transformer_v2_cr {
namespace {

struct Cfg {
  SwinCfg swin{};
  GivenWindows window_size{};              // "none": a part of the grid of patches
  std::string_view window_ratio = "8";     // which part; or one a stage
  double init_values = 0;                  // what the weights of the norms that end branches start as
  int extra_norm_period = 0;               // so many blocks of a stage end with a norm; 0: none
  bool extra_norm_stage = false;           // all stages end with a norm, not only the last
  std::string_view weight_init = "reset";  // PyTorch's first values, as "skip"; anything else: Xavier's
};
FOVEA_SETTINGS(Cfg, swin, window_size, window_ratio, init_values, extra_norm_period, extra_norm_stage, weight_init)

class Attention final : public CosineWindowAttention {
 public:
  Attention(const Cfg& c, const SwinPlace& p, Size2 window)
      : CosineWindowAttention(p.heads, c.swin.attn_drop_rate, {p.heads}) {
    head_channels(p.channels, p.heads);
    coords_ = constant("relative_coordinates_log", log_offsets(window));
    positions_ = constant("relative_position_index", relative_positions(window));
    qkv_ = add("qkv", Linear(p.channels, 3 * p.channels));
    proj_ = add("proj", Linear(p.channels, p.channels));
    proj_drop_ = add("proj_drop", Dropout(c.swin.proj_drop_rate));
    meta_mlp_ =
        add("meta_mlp", Mlp(2, {.hidden = 384, .out = p.heads, .act = act::relu, .drop = 0.125, .out_drop = 0}));
  }
  void set_window(Size2 window) override {
    coords_.set(cast(log_offsets(window), coords_->dtype()).to(coords_->device()));
    positions_.set(relative_positions(window).to(positions_->device()));
  }

 private:
  // In training each pair of tokens drops other hidden values, also where several have the same offset.
  Tensor bias() override {
    if (!training()) return relative_bias(meta_mlp_(coords_), positions_);
    return permute(meta_mlp_(index_select(coords_, 0, positions_)), {2, 0, 1});
  }
  Param coords_, positions_;
  Ref<Mlp> meta_mlp_;
};

struct Parts final : SwinParts {
  const Cfg& c;
  explicit Parts(const Cfg& cfg) : c(cfg) {
    stages = "stages";
    norm = channels_last = false;
    drop_path_rate = 0;
  }
  std::unique_ptr<SwinBlock> block(const SwinPlace& p) const override {
    return std::make_unique<PostNormSwinBlock>(c.swin, p, PostNormOptions{.start = c.init_values, .closes = closes(p)},
                                               [&](Size2 window) { return std::make_unique<Attention>(c, p, window); });
  }
  std::unique_ptr<Module> downsample(int in, int out) const override {
    return std::make_unique<PatchMerging>(in, out, kSwinEps);
  }

 private:
  bool closes(const SwinPlace& p) const {
    const bool period = c.extra_norm_period > 0 && (p.block + 1) % c.extra_norm_period == 0;
    const bool last = p.block + 1 == c.swin.depths[static_cast<size_t>(p.stage)];
    return period || (last && (c.extra_norm_stage || p.stage == 3));
  }
};

StageWindows windows(const Cfg& c, const ModelOptions& o) {
  if (c.window_size) return c.window_size;
  WindowOptions part;
  for (const std::string& text : split_list(c.window_ratio)) {
    int ratio = 0;
    if (!zoo::read_setting(text, ratio))
      throw Error(Error::Kind::argument, str_cat("window_ratio is '", c.window_ratio, "'"), "give one number, or four");
    part.ratios.push_back(ratio);
  }
  const Size2 grid = SwinModel::grid(c.swin, o);
  return WindowReference{1, grid}.fit(grid, part);
}

void start_xavier(Module& model) {
  model.visit([](const std::string& path, Module& m) {
    auto* linear = dynamic_cast<Linear*>(&m);
    if (!linear) return;
    const Shape& shape = linear->weight->shape();
    const auto one_of_three = Shape{shape[0] / 3, shape[1]};  // queries, keys and values count one by one
    linear->weight.slot().init = path.starts_with("head")     ? init::zeros()
                                 : path.ends_with("attn.qkv") ? init::xavier_uniform(one_of_three)
                                                              : init::xavier_uniform(shape);
    if (linear->bias) linear->bias.slot().init = init::zeros();
  });
}

class SwinTransformerV2Cr final : public SwinModel {
 public:
  SwinTransformerV2Cr(const Cfg& c, const ModelOptions& o) : SwinModel(c.swin, windows(c, o), o, Parts(c)) {
    if (c.weight_init != "reset" && c.weight_init != "skip") start_xavier(*this);
  }
};

// Older files have the inverse of the scale.
StateDict adapt(ImageModel&, StateDict weights) {
  if (weights.contains("head.fc.weight")) return weights;
  constexpr Rename rows[] = {{"tau", "logit_scale"}, {"^head.", "head.fc."}};
  for (const std::string& name : weights.names())
    if (name.ends_with(".tau")) weights.set(name, contiguous(-log(weights.at(name))));
  return rename(weights, rows);
}

constexpr Cfg tiny{.swin = swin_of(96, 3, 6)}, small{.swin = swin_of(96, 3, 18)}, base{.swin = swin_of(128, 4, 18)},
    large{.swin = swin_of(192, 6, 18)};
constexpr Cfg ns(Cfg c) {
  c.extra_norm_stage = true;
  return c;
}
constexpr Cfg huge(int heads) { return {.swin = swin_of(352, heads, 18), .extra_norm_period = 6}; }
constexpr Cfg giant{.swin = swin_of(512, 16, 42), .extra_norm_period = 6};
constexpr Variant<Cfg> variants[] = {
    {"swinv2_cr_base_224", base},          {"swinv2_cr_base_384", base},   {"swinv2_cr_base_ns_224", ns(base)},
    {"swinv2_cr_giant_224", giant},        {"swinv2_cr_giant_384", giant}, {"swinv2_cr_huge_224", huge(8)},
    {"swinv2_cr_huge_384", huge(11)},      {"swinv2_cr_large_224", large}, {"swinv2_cr_large_384", large},
    {"swinv2_cr_small_224", small},        {"swinv2_cr_small_384", small}, {"swinv2_cr_small_ns_224", ns(small)},
    {"swinv2_cr_small_ns_256", ns(small)}, {"swinv2_cr_tiny_224", tiny},   {"swinv2_cr_tiny_384", tiny},
    {"swinv2_cr_tiny_ns_224", ns(tiny)},
};

}  // namespace

FOVEA_FAMILY(swin_transformer_v2_cr, SwinTransformerV2Cr, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::swin_transformer_v2_cr
