// SPDX-License-Identifier: Apache-2.0
// zoo/families/pvt_v2.cpp — PVT v2: a pyramid of transformers whose keys and values come from smaller maps.
// timm.models.pvt_v2; https://arxiv.org/abs/2106.13797
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/reduced_attention.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::pvt_v2 {
namespace {

constexpr double kTorchEps = 1e-5;  // of the norms behind convolutions

struct Cfg {
  std::array<int, 4> depths{3, 4, 6, 3}, embed_dims{64, 128, 320, 512}, num_heads{1, 2, 5, 8};
  std::array<int, 4> sr_ratios{8, 4, 2, 1};  // by which the maps of keys and values are smaller
  std::array<int, 4> mlp_ratios{8, 8, 4, 4};
  bool qkv_bias = true;
  bool linear = false;  // keys and values from a map of 7 x 7, whatever the image
  double proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, depths, embed_dims, num_heads, sr_ratios, mlp_ratios, qkv_bias, linear, proj_drop_rate,
               attn_drop_rate)

Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }

/// An MLP over N,H,W,C with a depthwise convolution in the middle.
class ConvolvedMlp final : public Module {
 public:
  ConvolvedMlp(const Cfg& c, size_t stage) : rectifies_(c.linear) {
    const int dim = c.embed_dims[stage], hidden = c.mlp_ratios[stage] * dim;
    fc1_ = add("fc1", Linear(dim, hidden));
    dwconv_ = add("dwconv", Conv2d(hidden, hidden, 3, {.groups = hidden, .bias = true}));
    fc2_ = add("fc2", Linear(hidden, dim));
    drop_ = add("drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = to_first(fc1_(x));
    const Tensor z = activate(to_last(dwconv_(rectifies_ ? relu(y) : y)), act::gelu);
    return drop_(fc2_(drop_(z)));
  }

 private:
  bool rectifies_;
  Ref<Linear> fc1_, fc2_;
  Ref<Conv2d> dwconv_;
  Ref<Dropout> drop_;
};

struct Block final : Module {
  Ref<Module> norm1, attn, drop1, norm2, mlp, drop2;
  Block(const Cfg& c, size_t stage, double drop_path) {
    const int dim = c.embed_dims[stage];
    norm1 = add("norm1", LayerNorm(dim));
    attn = add("attn", ReducedAttention(dim, {.heads = c.num_heads[stage],
                                              .part = c.sr_ratios[stage],
                                              .linear = c.linear,
                                              .qkv_bias = c.qkv_bias,
                                              .attn_drop = c.attn_drop_rate,
                                              .proj_drop = c.proj_drop_rate}));
    drop1 = add("drop_path1", DropPath(drop_path));
    norm2 = add("norm2", LayerNorm(dim));
    mlp = add("mlp", ConvolvedMlp(c, stage));
    drop2 = add("drop_path2", DropPath(drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop1(attn(norm1(x)));
    return y + drop2(mlp(norm2(y)));
  }
};

/// Patches that overlap: from N,C,H,W.
struct OverlapPatchEmbed final : Module {
  Ref<Module> proj, norm;
  OverlapPatchEmbed(int in, int out, int patch, int stride) {
    proj = add("proj", Conv2d(in, out, patch, {.stride = stride, .padding = patch / 2, .bias = true}));
    norm = add("norm", LayerNorm(out, kTorchEps));
  }
  Tensor forward(const Tensor& x) override { return norm(to_last(proj(x))); }
};

/// The first takes N,H,W,C, others N,C,H,W; all give N,C,H,W.
struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks, norm;
  Stage(const Cfg& c, size_t stage, DropPathRamp& drop_path) {
    const int dim = c.embed_dims[stage];
    if (stage > 0) downsample = add("downsample", OverlapPatchEmbed(c.embed_dims[stage - 1], dim, 3, 2));
    Sequential all;
    for (int i = 0; i < c.depths[stage]; ++i) all.add(Block(c, stage, drop_path.next()));
    blocks = add("blocks", std::move(all));
    norm = add("norm", LayerNorm(dim));
  }
  Tensor forward(const Tensor& x) override { return to_first(norm(blocks(downsample(x)))); }
};

class PyramidVisionTransformerV2 final : public Chained<ImageModel> {
 public:
  PyramidVisionTransformerV2(const Cfg& c, const ModelOptions& o) : Chained(o) {
    add("patch_embed", OverlapPatchEmbed(o.in_chans.value_or(3), c.embed_dims[0], 7, 4));
    DropPathRamp drop_path(o, c.depths);
    Sequential stages;
    for (size_t i = 0; i < 4; ++i) stages.add(Stage(c, i, drop_path));
    add("stages", std::move(stages));
    stem("patch_embed");
    parts("stages", {0, 1, 2, 3});
    classifier("head", c.embed_dims[3]);
    start_vit_values(*this, VitInit::timm, num_classes_);
    he_normal_convs(*this, Fan::group_out);
    zero_biases(*this);
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^patch_embed"}, {1, "^stages.#"}}; }
};

// The original code counts stages from one.
constexpr Rename kOriginal[] = {
    {"^patch_embed1", "patch_embed"},
    {"^patch_embed2", "stages.1.downsample"},
    {"^patch_embed3", "stages.2.downsample"},
    {"^patch_embed4", "stages.3.downsample"},
    {"^block1.#", "stages.0.blocks.$1"},
    {"^block2.#", "stages.1.blocks.$1"},
    {"^block3.#", "stages.2.blocks.$1"},
    {"^block4.#", "stages.3.blocks.$1"},
    {"^norm1", "stages.0.norm"},
    {"^norm2", "stages.1.norm"},
    {"^norm3", "stages.2.norm"},
    {"^norm4", "stages.3.norm"},
    {"dwconv.dwconv", "dwconv"},
};

constexpr Cfg b2_li{.linear = true};
constexpr Variant<Cfg> variants[] = {
    {"pvt_v2_b0", {.depths{2, 2, 2, 2}, .embed_dims{32, 64, 160, 256}}},
    {"pvt_v2_b1", {.depths{2, 2, 2, 2}}},
    {"pvt_v2_b2", {}},
    {"pvt_v2_b2_li", b2_li},
    {"pvt_v2_b3", {.depths{3, 4, 18, 3}}},
    {"pvt_v2_b4", {.depths{3, 8, 27, 3}}},
    {"pvt_v2_b5", {.depths{3, 6, 40, 3}, .mlp_ratios{4, 4, 4, 4}}},
};

}  // namespace

FOVEA_FAMILY(pvt_v2, PyramidVisionTransformerV2, variants, .renames = kOriginal)

}  // namespace fovea::zoo::pvt_v2
