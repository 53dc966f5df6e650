// SPDX-License-Identifier: Apache-2.0
// zoo/families/swin_transformer_v2.cpp — Swin V2: attention by cosine, a bias that a network makes of offsets, and
// norms that end the branches. timm.models.swin_transformer_v2; https://arxiv.org/abs/2111.09883
#include "nn/layers/log_offsets.h"
#include "zoo/blocks/patch_merging.h"
#include "zoo/blocks/swin.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::swin_transformer_v2 {
namespace {

struct Cfg {
  SwinCfg swin{};
  StageWindows window_size = 7;
  bool qkv_bias = true;
  Act act_layer = act::gelu;
  // windows that the bias was learned for, one a stage: its offsets keep their scale; 0: those of the model
  std::array<int, 4> pretrained_window_sizes{};
};
FOVEA_SETTINGS(Cfg, swin, window_size, qkv_bias, act_layer, pretrained_window_sizes)

class Attention final : public CosineWindowAttention {
 public:
  Attention(const Cfg& c, const SwinPlace& p, Size2 window)
      : CosineWindowAttention(p.heads, c.swin.attn_drop_rate, {p.heads, 1, 1}),
        learned_(c.pretrained_window_sizes[static_cast<size_t>(p.stage)]) {
    head_channels(p.channels, p.heads);
    if (c.qkv_bias) {
      q_bias_ = param("q_bias", {p.channels}, init::zeros());
      k_bias_ = constant("k_bias", zeros({p.channels}));
      v_bias_ = param("v_bias", {p.channels}, init::zeros());
    }
    coords_ = constant("relative_coords_table", offsets(window));
    positions_ = constant("relative_position_index", relative_positions(window));
    Sequential network;
    network.add(Linear(2, kHidden));
    network.add(Activation(act::relu));
    network.add(Linear(kHidden, p.heads, false));
    cpb_mlp_ = add("cpb_mlp", std::move(network));
    qkv_ = add("qkv", Linear(p.channels, 3 * p.channels, false));
    proj_ = add("proj", Linear(p.channels, p.channels));
    proj_drop_ = add("proj_drop", Dropout(c.swin.proj_drop_rate));
  }
  void set_window(Size2 window) override {
    coords_.set(cast(offsets(window), coords_->dtype()).to(coords_->device()));
    positions_.set(relative_positions(window).to(positions_->device()));
  }

 private:
  static constexpr int kHidden = 512;
  Tensor offsets(Size2 window) const { return scaled_log_offsets(window, learned_ > 0 ? Size2(learned_) : window); }
  Tensor products(const Tensor& x) override {
    if (!q_bias_) return qkv_(x);
    const Scope scope("qkv");
    return linear(x, qkv_->weight, cat({*q_bias_, *k_bias_, *v_bias_}, 0));
  }
  Tensor bias() override { return relative_bias(sigmoid(cpb_mlp_(coords_)) * 16, positions_); }

  int learned_;
  Param q_bias_, k_bias_, v_bias_, coords_, positions_;
  Ref<Module> cpb_mlp_;
};

struct Parts final : SwinParts {
  const Cfg& c;
  explicit Parts(const Cfg& cfg) : c(cfg) {}
  std::unique_ptr<SwinBlock> block(const SwinPlace& p) const override {
    return std::make_unique<PostNormSwinBlock>(c.swin, p, PostNormOptions{.act = c.act_layer},
                                               [&](Size2 window) { return std::make_unique<Attention>(c, p, window); });
  }
  std::unique_ptr<Module> downsample(int in, int out) const override {
    return std::make_unique<PatchMerging>(in, out, kSwinEps, PatchMerging::Norm::last);
  }
};

class SwinTransformerV2 final : public SwinModel {
 public:
  SwinTransformerV2(const Cfg& c, const ModelOptions& o) : SwinModel(c.swin, c.window_size, o, Parts(c)) {
    start_vit_values(*this, VitInit::timm, num_classes_);
  }
  std::vector<std::string> no_weight_decay() const override { return {"*cpb_mlp*", "*logit_scale*"}; }
};

StateDict adapt(ImageModel& model, StateDict weights) { return adapt_swin(model, weights); }

constexpr Cfg tiny(int window) { return {.swin = swin_of(96, 3, 6), .window_size = window}; }
constexpr Cfg small(int window) { return {.swin = swin_of(96, 3, 18), .window_size = window}; }
constexpr Cfg base(int window) { return {.swin = swin_of(128, 4, 18), .window_size = window}; }
constexpr Cfg large(int window) { return {.swin = swin_of(192, 6, 18), .window_size = window}; }
constexpr Cfg from12(Cfg c) {
  c.pretrained_window_sizes = {12, 12, 12, 6};
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"swinv2_base_window12_192", base(12)},
    {"swinv2_base_window12to16_192to256", from12(base(16))},
    {"swinv2_base_window12to24_192to384", from12(base(24))},
    {"swinv2_base_window16_256", base(16)},
    {"swinv2_base_window8_256", base(8)},
    {"swinv2_large_window12_192", large(12)},
    {"swinv2_large_window12to16_192to256", from12(large(16))},
    {"swinv2_large_window12to24_192to384", from12(large(24))},
    {"swinv2_small_window16_256", small(16)},
    {"swinv2_small_window8_256", small(8)},
    {"swinv2_tiny_window16_256", tiny(16)},
    {"swinv2_tiny_window8_256", tiny(8)},
};

}  // namespace

FOVEA_FAMILY(swin_transformer_v2, SwinTransformerV2, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::swin_transformer_v2
