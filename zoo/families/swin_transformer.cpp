// SPDX-License-Identifier: Apache-2.0
// zoo/families/swin_transformer.cpp — Swin: attention in windows that every other block shifts; and S3, with windows of
// its own for each stage. timm.models.swin_transformer; https://arxiv.org/abs/2103.14030, 2111.14725
#include "zoo/blocks/patch_merging.h"
#include "zoo/blocks/relative_tables.h"
#include "zoo/blocks/swin.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::swin_transformer {
namespace {

struct Cfg {
  SwinCfg swin{};
  int head_dim = 0;  // 0: channels / heads
  StageWindows window_size = 7;
  bool qkv_bias = true;
  VitInit weight_init = VitInit::timm;
};
FOVEA_SETTINGS(Cfg, swin, head_dim, window_size, qkv_bias, weight_init)

class Block final : public SwinBlock {
 public:
  Block(const Cfg& c, const SwinPlace& p) : SwinBlock(c.swin, p) {
    norm1_ = add("norm1", LayerNorm(p.channels, kSwinEps));
    attn_ = add("attn", WindowAttention(p.channels, {.heads = p.heads,
                                                     .head_dim = c.head_dim,
                                                     .window = window(),
                                                     .qkv_bias = c.qkv_bias,
                                                     .attn_drop = c.swin.attn_drop_rate,
                                                     .proj_drop = c.swin.proj_drop_rate}));
    drop1_ = add("drop_path1", DropPath(p.drop_path));
    norm2_ = add("norm2", LayerNorm(p.channels, kSwinEps));
    mlp_ = add("mlp", mlp(c.swin, p));
    drop2_ = add("drop_path2", DropPath(p.drop_path));
  }

  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop1_(attended(norm1_(x)));
    return y + drop2_(mlp_(norm2_(y)));
  }

 private:
  Tensor attend(const Tensor& tokens, const Tensor& mask) override { return (*attn_)(tokens, mask); }
  void set_window(Size2 window) override { attn_->set_window(window); }
  Ref<LayerNorm> norm1_, norm2_;
  Ref<WindowAttention> attn_;
  Ref<Mlp> mlp_;
  Ref<DropPath> drop1_, drop2_;
};

struct Parts final : SwinParts {
  const Cfg& c;
  explicit Parts(const Cfg& cfg) : c(cfg) {}
  std::unique_ptr<SwinBlock> block(const SwinPlace& p) const override { return std::make_unique<Block>(c, p); }
  std::unique_ptr<Module> downsample(int in, int out) const override {
    return std::make_unique<PatchMerging>(in, out, kSwinEps);
  }
};

class SwinTransformer final : public SwinModel {
 public:
  SwinTransformer(const Cfg& c, const ModelOptions& o) : SwinModel(c.swin, c.window_size, o, Parts(c)) {
    start_vit_values(*this, c.weight_init, num_classes_);
  }
  std::vector<std::string> no_weight_decay() const override { return {"*relative_position_bias_table"}; }
};

StateDict adapt(ImageModel& model, StateDict weights) {
  StateDict w = adapt_swin(model, weights);
  resample_relative_tables(model, w);
  return w;
}

constexpr Cfg swin(int dim, int heads, int depth, StageWindows windows = 7) {
  return {.swin = swin_of(dim, heads, depth), .window_size = windows};
}
constexpr Variant<Cfg> variants[] = {
    {"swin_tiny_patch4_window7_224", swin(96, 3, 6)},     {"swin_small_patch4_window7_224", swin(96, 3, 18)},
    {"swin_base_patch4_window7_224", swin(128, 4, 18)},   {"swin_base_patch4_window12_384", swin(128, 4, 18, 12)},
    {"swin_large_patch4_window7_224", swin(192, 6, 18)},  {"swin_large_patch4_window12_384", swin(192, 6, 18, 12)},
    {"swin_s3_tiny_224", swin(96, 3, 6, {7, 7, 14, 7})},  {"swin_s3_small_224", swin(96, 3, 18, {14, 14, 14, 7})},
    {"swin_s3_base_224", swin(96, 3, 30, {7, 7, 14, 7})},
};

}  // namespace

FOVEA_FAMILY(swin_transformer, SwinTransformer, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::swin_transformer
