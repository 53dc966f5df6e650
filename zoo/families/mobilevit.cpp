// SPDX-License-Identifier: Apache-2.0
// zoo/families/mobilevit.cpp — MobileViT: inverted residuals, and blocks in which the pixels that stand at the same
// place of their patches attend to each other. timm.models.mobilevit; https://arxiv.org/abs/2110.02178,
// https://arxiv.org/abs/2206.02680
#include "zoo/blocks/byobnet_blocks.h"
#include "zoo/blocks/vit_block.h"

namespace fovea::zoo::mobilevit {
namespace {

/// Maps cut into patches.
struct Patches {
  int64_t side, rows, columns;
  Patches(const Tensor& map, int64_t p) : side(p), rows((map.dim(2) + p - 1) / p), columns((map.dim(3) + p - 1) / p) {}
  bool fit(const Tensor& map) const { return map.dim(2) == rows * side && map.dim(3) == columns * side; }
  Tensor resized(const Tensor& map, bool align_corners) const {
    if (fit(map)) return map;
    return interpolate(map, {rows * side, columns * side},
                       {.mode = Interpolation::linear, .align_corners = align_corners});
  }
  /// N,C,H,W -> N, pixels of a patch, patches, C
  Tensor cut(const Tensor& map) const {
    const int64_t n = map.dim(0), c = map.dim(1);
    const Tensor each = reshape(permute(map, {0, 2, 3, 1}), {n, rows, side, columns, side, c});
    return reshape(permute(each, {0, 2, 4, 1, 3, 5}), {n, side * side, rows * columns, c});
  }
  /// The way back.
  Tensor joined(const Tensor& x) const {
    const int64_t n = x.dim(0), c = x.dim(3);
    const Tensor each = permute(reshape(x, {n, side, side, rows, columns, c}), {0, 3, 1, 4, 2, 5});
    return permute(reshape(each, {n, rows * side, columns * side, c}), {0, 3, 1, 2});
  }
};

/// What both versions begin with: a convolution over neighbours, and one to the width of the tokens.
class MobileVitBlock : public Module {
 protected:
  MobileVitBlock(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p, int stride)
      : tokens_(b.tokens ? b.tokens : make_divisible(b.ratio * p.in)),
        patch_(b.patch) {
    conv_kxk_ = add(
        "conv_kxk",
        ConvNormAct(p.in, p.in, b.kernel,
                    byob_conv(c, {.stride = stride, .dilation = p.first_dilation, .groups = byob_groups(b, p.in)})));
    conv_1x1_ = add("conv_1x1", Conv2d(p.in, tokens_, 1));
  }
  int tokens_, patch_;
  Ref<Module> conv_kxk_, conv_1x1_, transformer_, norm_, conv_proj_;
};

class Block final : public MobileVitBlock {
 public:
  Block(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) : MobileVitBlock(c, b, p, p.stride) {
    constexpr TokenNorm kNorm{.eps = 1e-5};
    Sequential transformer;
    for (int i = 0; i < b.depth; ++i)
      transformer.add(vit_block(VitBlockKind::pre_norm, {.dim = tokens_,
                                                         .hidden = 2 * tokens_,
                                                         .attn = {.heads = 4, .qkv_bias = true},
                                                         .norm = kNorm,
                                                         .act = c.act_layer,
                                                         .drop_path = p.drop_path,
                                                         .index = i}));
    transformer_ = add("transformer", std::move(transformer));
    norm_ = add("norm", token_norm(kNorm, tokens_));
    conv_proj_ = add("conv_proj", ConvNormAct(tokens_, p.out, 1, byob_conv(c, {})));
    conv_fusion_ = add("conv_fusion", ConvNormAct(p.in + p.out, p.out, b.kernel, byob_conv(c, {})));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = conv_1x1_(conv_kxk_(x));
    const Patches patches(map, patch_);
    const Tensor each = patches.cut(patches.resized(map, false));
    const Tensor seen = norm_(transformer_(flatten(each, 0, 1)));
    const Tensor y = patches.joined(unflatten(seen, 0, {each.dim(0), each.dim(1)}));
    const Tensor same =
        patches.fit(map) ? y : interpolate(y, {map.dim(2), map.dim(3)}, {.mode = Interpolation::linear});
    return conv_fusion_(cat({x, conv_proj_(same)}, 1));
  }

 private:
  Ref<Module> conv_fusion_;
};

/// One query for all channels: https://arxiv.org/abs/2206.02680. Over N, C, pixels of a patch, patches.
struct LinearSelfAttention final : Module {
  int dim;
  Ref<Module> qkv_proj, out_proj;
  explicit LinearSelfAttention(int channels) : dim(channels) {
    qkv_proj = add("qkv_proj", Conv2d(dim, 1 + 2 * dim, 1, {.bias = true}));
    out_proj = add("out_proj", Conv2d(dim, dim, 1, {.bias = true}));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(qkv_proj(x), {1, dim, dim}, 1);
    const Tensor shares = permute(softmax(part[0], 3), {0, 2, 1, 3});       // N, pixels, 1, patches
    const Tensor context = matmul(shares, permute(part[1], {0, 2, 3, 1}));  // N, pixels, 1, C
    return out_proj(relu(part[2]) * permute(context, {0, 3, 1, 2}));
  }
};

struct LinearTransformerBlock final : Module {
  Ref<Module> norm1, attn, drop_path1, norm2, mlp, drop_path2;
  LinearTransformerBlock(const ByobCfg& c, int dim, double drop_path) {
    norm1 = add("norm1", GroupNorm(dim, 1));
    attn = add("attn", LinearSelfAttention(dim));
    drop_path1 = add("drop_path1", DropPath(drop_path));
    norm2 = add("norm2", GroupNorm(dim, 1));
    mlp = add("mlp", ConvMlp(dim, {.hidden = 2 * dim, .act = c.act_layer}));
    drop_path2 = add("drop_path2", DropPath(drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path1(attn(norm1(x)));
    return y + drop_path2(mlp(norm2(y)));
  }
};

class BlockV2 final : public MobileVitBlock {
 public:
  BlockV2(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) : MobileVitBlock(c, b, p, 1) {
    Sequential transformer;
    for (int i = 0; i < b.depth; ++i) transformer.add(LinearTransformerBlock(c, tokens_, p.drop_path));
    transformer_ = add("transformer", std::move(transformer));
    norm_ = add("norm", GroupNorm(tokens_, 1));
    conv_proj_ = add("conv_proj", ConvNormAct(tokens_, p.out, 1, byob_conv(c, {}, false)));
  }
  /// Maps that do not divide into patches stay as large as they are made for it.
  Tensor forward(const Tensor& x) override {
    const Patches patches(x, patch_);
    const Tensor each = permute(patches.cut(conv_1x1_(conv_kxk_(patches.resized(x, true)))), {0, 3, 1, 2});
    return conv_proj_(patches.joined(permute(norm_(transformer_(each)), {0, 2, 3, 1})));
  }
};

std::unique_ptr<Module> block(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) {
  if (b.kind == ByobBlockKind::mvit) return std::make_unique<Block>(c, b, p);
  if (b.kind == ByobBlockKind::mvit2) return std::make_unique<BlockV2>(c, b, p);
  return byob_block(c, b, p);
}

class MobileVit final : public ByobNet {
 public:
  MobileVit(const ByobCfg& c, const ModelOptions& o) : ByobNet(c, o, block) {}
};

constexpr std::string_view kXXS =
    "bottle_c16_gs1_br2 bottle_d3_c24_s2_gs1_br2 bottle_c48_s2_gs1_br2+mvit_c48_t64_td2_p2 "
    "bottle_c64_s2_gs1_br2+mvit_c64_t80_td4_p2 bottle_c80_s2_gs1_br2+mvit_c80_t96_td3_p2";
constexpr std::string_view kXS =
    "bottle_c32_gs1_br4 bottle_d3_c48_s2_gs1_br4 bottle_c64_s2_gs1_br4+mvit_c64_t96_td2_p2 "
    "bottle_c80_s2_gs1_br4+mvit_c80_t120_td4_p2 bottle_c96_s2_gs1_br4+mvit_c96_t144_td3_p2";
constexpr std::string_view kS =
    "bottle_c32_gs1_br4 bottle_d3_c64_s2_gs1_br4 bottle_c96_s2_gs1_br4+mvit_c96_t144_td2_p2 "
    "bottle_c128_s2_gs1_br4+mvit_c128_t192_td4_p2 bottle_c160_s2_gs1_br4+mvit_c160_t240_td3_p2";
constexpr std::string_view kV2_050 =
    "bottle_c32_gs1_br2 bottle_d2_c64_s2_gs1_br2 bottle_c128_s2_gs1_br2+mvit2_c128_gs1_br0.5_td2_p2 "
    "bottle_c192_s2_gs1_br2+mvit2_c192_gs1_br0.5_td4_p2 bottle_c256_s2_gs1_br2+mvit2_c256_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_075 =
    "bottle_c48_gs1_br2 bottle_d2_c96_s2_gs1_br2 bottle_c192_s2_gs1_br2+mvit2_c192_gs1_br0.5_td2_p2 "
    "bottle_c288_s2_gs1_br2+mvit2_c288_gs1_br0.5_td4_p2 bottle_c384_s2_gs1_br2+mvit2_c384_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_100 =
    "bottle_c64_gs1_br2 bottle_d2_c128_s2_gs1_br2 bottle_c256_s2_gs1_br2+mvit2_c256_gs1_br0.5_td2_p2 "
    "bottle_c384_s2_gs1_br2+mvit2_c384_gs1_br0.5_td4_p2 bottle_c512_s2_gs1_br2+mvit2_c512_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_125 =
    "bottle_c80_gs1_br2 bottle_d2_c160_s2_gs1_br2 bottle_c320_s2_gs1_br2+mvit2_c320_gs1_br0.5_td2_p2 "
    "bottle_c480_s2_gs1_br2+mvit2_c480_gs1_br0.5_td4_p2 bottle_c640_s2_gs1_br2+mvit2_c640_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_150 =
    "bottle_c96_gs1_br2 bottle_d2_c192_s2_gs1_br2 bottle_c384_s2_gs1_br2+mvit2_c384_gs1_br0.5_td2_p2 "
    "bottle_c576_s2_gs1_br2+mvit2_c576_gs1_br0.5_td4_p2 bottle_c768_s2_gs1_br2+mvit2_c768_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_175 =
    "bottle_c112_gs1_br2 bottle_d2_c224_s2_gs1_br2 bottle_c448_s2_gs1_br2+mvit2_c448_gs1_br0.5_td2_p2 "
    "bottle_c672_s2_gs1_br2+mvit2_c672_gs1_br0.5_td4_p2 bottle_c896_s2_gs1_br2+mvit2_c896_gs1_br0.5_td3_p2";
constexpr std::string_view kV2_200 =
    "bottle_c128_gs1_br2 bottle_d2_c256_s2_gs1_br2 bottle_c512_s2_gs1_br2+mvit2_c512_gs1_br0.5_td2_p2 "
    "bottle_c768_s2_gs1_br2+mvit2_c768_gs1_br0.5_td4_p2 bottle_c1024_s2_gs1_br2+mvit2_c1024_gs1_br0.5_td3_p2";

constexpr ByobCfg mobile(std::string_view blocks, std::string_view stem, int features) {
  return {.blocks = blocks,
          .downsample = "",
          .stem_pool = "",
          .stem_chs = stem,
          .num_features = features,
          .act_layer = act::silu,
          .bottle_in = true,
          .linear_out = true};
}
constexpr Variant<ByobCfg> variants[] = {
    {"mobilevit_s", mobile(kS, "16", 640)},        {"mobilevit_xs", mobile(kXS, "16", 384)},
    {"mobilevit_xxs", mobile(kXXS, "16", 320)},    {"mobilevitv2_050", mobile(kV2_050, "16", 0)},
    {"mobilevitv2_075", mobile(kV2_075, "24", 0)}, {"mobilevitv2_100", mobile(kV2_100, "32", 0)},
    {"mobilevitv2_125", mobile(kV2_125, "40", 0)}, {"mobilevitv2_150", mobile(kV2_150, "48", 0)},
    {"mobilevitv2_175", mobile(kV2_175, "56", 0)}, {"mobilevitv2_200", mobile(kV2_200, "64", 0)},
};

}  // namespace

FOVEA_FAMILY(mobilevit, MobileVit, variants, .accepts = {.output_stride = true, .img_size = true})

}  // namespace fovea::zoo::mobilevit
