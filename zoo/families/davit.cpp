// SPDX-License-Identifier: Apache-2.0
// zoo/families/davit.cpp — DaViT: attention within windows and attention between channels, in turn.
// timm.models.davit; https://arxiv.org/abs/2204.03645
#include <algorithm>
#include <cmath>

#include "nn/layers/attention.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/local_attention.h"
#include "zoo/blocks/missing_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::davit {
namespace {

struct Cfg {
  std::array<int, 4> depths{1, 1, 3, 1}, embed_dims{96, 192, 384, 768}, num_heads{3, 6, 12, 24};
  int window_size = 7;
  double mlp_ratio = 4;
  bool qkv_bias = true;
  double norm_eps = 1e-5;
  std::string_view attn_types = "spatial,channel";
  bool ffn = true;       // attention is followed by an MLP
  bool cpe_act = false;  // an activation behind the convolutions that tell where pixels are
  int down_kernel_size = 2;
  bool channel_attn_v2 = false;  // queries meet keys, scaled by the number of tokens; else keys meet values
  bool named_blocks = false;
  bool head_norm_first = false;  // in front of the pooling, not behind it
};
FOVEA_SETTINGS(Cfg, depths, embed_dims, num_heads, window_size, mlp_ratio, qkv_bias, norm_eps, attn_types, ffn, cpe_act,
               down_kernel_size, channel_attn_v2, named_blocks, head_norm_first)

Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }
NormSpec norm_of(const Cfg& c) { return {.kind = NormSpec::Kind::layer, .eps = c.norm_eps}; }

/// A depthwise convolution that is added tells where pixels are. N,C,H,W.
struct ConvPosEnc final : Module {
  Act act_;
  Ref<Module> proj;
  ConvPosEnc(const Cfg& c, int dim) : act_(c.cpe_act ? act::gelu : act::none) {
    proj = add("proj", Conv2d(dim, dim, 3, {.groups = dim, .bias = true}));
  }
  Tensor forward(const Tensor& x) override { return x + activate(proj(x), act_); }
};

/// Over tokens [N, L, C].
class ChannelAttention final : public Module {
 public:
  ChannelAttention(const Cfg& c, int dim, int heads) : heads_(heads), v2_(c.channel_attn_v2) {
    head_channels(dim, heads);
    qkv_ = add("qkv", Linear(dim, 3 * dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
  }
  Tensor forward(const Tensor& x) override {
    const auto [q, k, v] = split_qkv(qkv_(x), heads_);  // [N, heads, L, D]
    const Tensor &a = v2_ ? q : k, &b = v2_ ? k : v, &read = v2_ ? v : q;
    const double scale = 1 / std::sqrt(static_cast<double>(v2_ ? x.dim(1) : q.dim(3)));
    const Tensor weights = softmax(matmul(transpose(a * scale, 2, 3), b), -1);
    return proj_(merge_heads(matmul(read, transpose(weights, 2, 3))));
  }

 private:
  int heads_;
  bool v2_;
  Ref<Linear> qkv_, proj_;
};

/// N,C,H,W.
struct Block final : Module {
  bool spatial;
  Ref<Module> cpe1, norm1, attn, drop1, cpe2, norm2, mlp, drop2;
  Block(const Cfg& c, bool in_windows, int dim, int heads, double drop_path) : spatial(in_windows) {
    cpe1 = add("cpe1", ConvPosEnc(c, dim));
    norm1 = add("norm1", LayerNorm(dim, c.norm_eps));
    if (spatial)
      attn = add("attn", LocalAttention(dim, {.heads = heads, .window = c.window_size, .qkv_bias = c.qkv_bias}));
    else attn = add("attn", ChannelAttention(c, dim, heads));
    drop1 = add("drop_path1", DropPath(drop_path));
    cpe2 = add("cpe2", ConvPosEnc(c, dim));
    if (!c.ffn) return;
    norm2 = add("norm2", LayerNorm(dim, c.norm_eps));
    mlp = add("mlp", Mlp(dim, {.hidden = static_cast<int>(dim * c.mlp_ratio)}));
    drop2 = add("drop_path2", DropPath(drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = to_last(cpe1(x)), normed = norm1(map);
    const Tensor attended =
        spatial ? attn(normed) : unflatten(attn(flatten(normed, 1, 2)), 1, {map.dim(1), map.dim(2)});
    const Tensor y = cpe2(to_first(map + drop1(attended)));
    if (!mlp) return y;
    const Tensor z = to_last(y);
    return to_first(z + drop2(mlp(norm2(z))));
  }
};

struct Stem final : Module {
  Ref<Module> conv, norm;
  Stem(const Cfg& c, int in) {
    conv = add("conv", Conv2d(in, c.embed_dims[0], 7, {.stride = 4, .padding = 3, .bias = true}));
    norm = add("norm", norm2d(norm_of(c), c.embed_dims[0]));
  }
  Tensor forward(const Tensor& image) override { return norm(conv(filled_map_to_windows(image, 4))); }
};

struct Downsample final : Module {
  int kernel;
  Ref<Module> norm, conv;
  Downsample(const Cfg& c, int in, int out) : kernel(c.down_kernel_size) {
    norm = add("norm", norm2d(norm_of(c), in));
    conv = add("conv", Conv2d(in, out, kernel, {.stride = 2, .padding = even() ? 0 : kernel / 2, .bias = true}));
  }
  bool even() const { return kernel % 2 == 0; }
  Tensor forward(const Tensor& x) override { return conv(even() ? filled_map_to_windows(norm(x), kernel) : norm(x)); }
};

struct Stage final : ShrinkingStage {
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    if (p.stage > 0) downsample = add("downsample", Downsample(c, p.in, p.out));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) {
      const double drop_rate = drop_path.next();
      Sequential pair;
      for (const std::string& kind : split_list(c.attn_types)) {
        if (kind != "spatial" && kind != "channel")
          throw Error(Error::Kind::argument, str_cat("no attention '", kind, "'"), "there are spatial and channel");
        Block block(c, kind == "spatial", p.out, c.num_heads[p.stage], drop_rate);
        if (c.named_blocks) pair.add(kind + "_block", std::move(block));
        else pair.add(std::move(block));
      }
      all.add(std::move(pair));
    }
    blocks = add("blocks", std::move(all));
  }
};

class DaVit final : public StagedModel {
 public:
  DaVit(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    add("stem", Stem(c, o.in_chans.value_or(3)));
    add_stages<Stage>(c, stage_places(c.depths, c.embed_dims), o);
    staged_head(c.embed_dims[3], {.norm = norm_of(c), .norm_first = c.head_norm_first});
    start_vit_values(*this, VitInit::timm, num_classes_);
  }
};

constexpr Rename kFlorence[] = {
    {"^convs.0.proj", "stem.conv"},
    {"^convs.0.norm", "stem.norm"},
    {"^convs.#.proj", "stages.$1.downsample.conv"},
    {"^convs.#.norm", "stages.$1.downsample.norm"},
    {"^blocks.#", "stages.$1.blocks"},
    {"window_attn.norm", "norm1"},
    {"window_attn.fn", "attn"},
    {"channel_attn.norm", "norm1"},
    {"channel_attn.fn", "attn"},
    {"ffn.norm", "norm2"},
    {"ffn.fn.net", "mlp"},
    {"conv1.fn.dw", "cpe1.proj"},
    {"conv2.fn.dw", "cpe2.proj"},
};
constexpr Rename kOriginal[] = {
    {"^patch_embeds.0.proj", "stem.conv"},
    {"^patch_embeds.0.norm", "stem.norm"},
    {"^patch_embeds.#.proj", "stages.$1.downsample.conv"},
    {"^patch_embeds.#.norm", "stages.$1.downsample.norm"},
    {"^main_blocks.#", "stages.$1.blocks"},
    {"^head.", "head.fc."},
    {"^norms.", "head.norm."},
    {"cpe.0", "cpe1"},
    {"cpe.1", "cpe2"},
};

// Florence's towers have no norm for a classifier.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (any_below(weights, "vision_tower.convs.")) {
    StateDict w = rename(below(weights, "vision_tower."), kFlorence);
    add_missing(model, w, "head.norm.");
    return w;
  }
  if (!weights.contains("stem.conv.weight")) return rename(weights, kOriginal);
  if (model.architecture().ends_with("_fl")) add_missing(model, weights, "head.norm.");
  return weights;
}

constexpr std::array<int, 4> kNine{1, 1, 9, 1};
constexpr Cfg base{.depths = kNine, .embed_dims{128, 256, 512, 1024}, .num_heads{4, 8, 16, 32}},
    huge{.depths = kNine, .embed_dims{256, 512, 1024, 2048}, .num_heads{8, 16, 32, 64}};
constexpr Cfg florence(Cfg c) {
  c.window_size = 12;
  c.down_kernel_size = 3;
  c.channel_attn_v2 = c.named_blocks = true;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"davit_base", base},
    {"davit_base_fl", florence(base)},
    {"davit_giant", {.depths{1, 1, 12, 3}, .embed_dims{384, 768, 1536, 3072}, .num_heads{12, 24, 48, 96}}},
    {"davit_huge", huge},
    {"davit_huge_fl", florence(huge)},
    {"davit_large", {.depths = kNine, .embed_dims{192, 384, 768, 1536}, .num_heads{6, 12, 24, 48}}},
    {"davit_small", {.depths = kNine}},
    {"davit_tiny", {}},
};

}  // namespace

FOVEA_FAMILY(davit, DaVit, variants, .adapt = adapt)

}  // namespace fovea::zoo::davit
