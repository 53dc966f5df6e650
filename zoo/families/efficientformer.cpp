// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientformer.cpp — EfficientFormer: blocks that pool, and at the end of the last stage some that
// attend. timm.models.efficientformer; https://arxiv.org/abs/2206.01191
#include <algorithm>

#include "zoo/blocks/distance_bias.h"
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/network_names.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::efficientformer {
namespace {

struct Cfg {
  std::array<int, 4> depths{3, 2, 6, 4}, embed_dims{48, 96, 224, 448};
  std::array<int, 4> downsamples{0, 1, 1, 1};  // 1: a convolution halves the map in front of the stage
  int num_vit = 1;                             // blocks that attend
  double mlp_ratios = 4;
  int pool_size = 3;
  double layer_scale_init_value = 1e-5;
  Act act_layer = act::gelu;
  double proj_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, depths, embed_dims, downsamples, num_vit, mlp_ratios, pool_size, layer_scale_init_value, act_layer,
               proj_drop_rate)

constexpr int kSide = 7;  // of the map that attention is for

struct Attention final : DistanceBiased {
  static constexpr int kHeads = 8, kKey = 32, kValue = 4 * kKey;
  Ref<Module> qkv, proj;
  explicit Attention(int dim) {
    add_biases_and_save(kSide, kHeads);
    qkv = add("qkv", Linear(dim, kHeads * (2 * kKey + kValue)));
    proj = add("proj", Linear(kHeads * kValue, dim));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(split_heads(qkv(x), kHeads), {kKey, kKey, kValue}, 3);
    return proj(merge_heads(sdpa(part[0], part[1], part[2], biases(x.dim(1)))));
  }
};

/// The mean of the neighbours; the pixel itself goes, since the block adds it again.
struct Pooling final : Module {
  Ref<Module> pool;
  explicit Pooling(int size) {
    pool = add("pool", AvgPool2d(size, {.stride = 1, .padding = size / 2, .count_include_pad = false}));
  }
  Tensor forward(const Tensor& x) override { return pool(x) - x; }
};

struct ConvMlpWithNorm final : Module {
  Ref<Module> fc1, norm1, act, fc2, norm2, drop;
  ConvMlpWithNorm(const Cfg& c, int dim, int hidden) {
    fc1 = add("fc1", Conv2d(dim, hidden, 1, {.bias = true}));
    norm1 = add("norm1", BatchNorm2d(hidden));
    act = add("act", Activation(c.act_layer));
    fc2 = add("fc2", Conv2d(hidden, dim, 1, {.bias = true}));
    norm2 = add("norm2", BatchNorm2d(dim));
    drop = add("drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop(norm2(fc2(drop(act(norm1(fc1(x))))))); }
};

/// Two residual branches: over maps, where neighbours are pooled, or over tokens, which attend.
struct Block final : Module {
  Maybe<Module> norm1, norm2;
  Ref<Module> token_mixer, mlp, ls1, ls2, drop_path1, drop_path2;
  Block(const Cfg& c, int dim, bool attends, double drop_rate) {
    const int hidden = static_cast<int>(dim * c.mlp_ratios);
    if (attends) norm1 = add("norm1", LayerNorm(dim, 1e-5));
    if (attends) token_mixer = add("token_mixer", Attention(dim));
    else token_mixer = add("token_mixer", Pooling(c.pool_size));
    ls1 = add("ls1", LayerScale(dim, c.layer_scale_init_value, !attends));
    drop_path1 = add("drop_path1", DropPath(drop_rate));
    if (attends) {
      norm2 = add("norm2", LayerNorm(dim, 1e-5));
      mlp = add("mlp", Mlp(dim, {.hidden = hidden, .act = c.act_layer, .drop = c.proj_drop_rate}));
    } else {
      mlp = add("mlp", ConvMlpWithNorm(c, dim, hidden));
    }
    ls2 = add("ls2", LayerScale(dim, c.layer_scale_init_value, !attends));
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path1(ls1(token_mixer(norm1(x))));
    return y + drop_path2(ls2(mlp(norm2(y))));
  }
};

struct Flat final : Module {
  Tensor forward(const Tensor& x) override { return transpose(flatten(x, 2), 1, 2); }
};

struct Downsample final : Module {
  Ref<Module> conv, norm;
  Downsample(int in, int out) {
    conv = add("conv", Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = true}));
    norm = add("norm", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return norm(conv(x)); }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s, DropPathRamp& drop_path) {
    if (c.downsamples[s]) downsample = add("downsample", Downsample(c.embed_dims[s > 0 ? s - 1 : 0], c.embed_dims[s]));
    const int first = s == 3 ? std::max(c.depths[s] - c.num_vit, 0) : c.depths[s];  // that attends
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i) {
      if (i == first) all.add(Flat());
      all.add(Block(c, c.embed_dims[s], i >= first, drop_path.next()));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class EfficientFormer final : public DistilledModel, public TokenModel {
 public:
  EfficientFormer(const Cfg& c, const ModelOptions& o) : DistilledModel(o) {
    check(c, o);
    Sequential first;
    for (int i = 1; i <= 2; ++i) {
      const int in = i == 1 ? o.in_chans.value_or(3) : c.embed_dims[0] / 2, out = c.embed_dims[0] * i / 2;
      first.add(str_cat("conv", i), Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = true}));
      first.add(str_cat("norm", i), BatchNorm2d(out));
      first.add(str_cat("act", i), Activation(act::relu));
    }
    add("stem", std::move(first));
    DropPathRamp drop_path(o, c.depths);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) stages.add(Stage(c, s, drop_path));
    add_stages(std::move(stages), std::make_unique<LayerNorm>(c.embed_dims[3], 1e-5));
    add_heads(c.embed_dims[3]);
    start_linear(*this, init::trunc_normal(0.02));
  }
  /// Of the last level, which alone is one of tokens.
  Size2 token_grid(int64_t, int64_t) const override { return kSide; }
  std::vector<std::string> no_weight_decay() const override { return {"attention_biases"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^stem"}, {1, "^stages.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }

 private:
  static void check(const Cfg& c, const ModelOptions& o) {
    if (c.num_vit < 1)
      throw Error(Error::Kind::argument, str_cat("num_vit is ", c.num_vit), "at least the last block attends");
    const auto [height, width] = o.img_size.value_or(std::array{224, 224});
    if ((height + 31) / 32 != kSide || (width + 31) / 32 != kSide)
      throw Error(Error::Kind::argument, str_cat("img_size is ", height, " x ", width),
                  "EfficientFormer's attention is for images of 224 x 224");
  }
};

constexpr Rename kOriginal[] = {
    {"^patch_embed.0", "stem.conv1"},
    {"^patch_embed.1", "stem.norm1"},
    {"^patch_embed.3", "stem.conv2"},
    {"^patch_embed.4", "stem.norm2"},
    {"^stages.#.downsample.proj", "stages.$1.downsample.conv"},
    {"layer_scale_1", "ls1.gamma"},
    {"layer_scale_2", "ls2.gamma"},
    {"^dist_head", "head_dist"},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  StateDict w = rename(network_to_stages(weights), kOriginal);
  fit_shapes(model, w);  // factors had dimensions for height and width
  return w;
}

constexpr Variant<Cfg> variants[] = {
    {"efficientformer_l1", {}},
    {"efficientformer_l3", {.depths{4, 4, 12, 6}, .embed_dims{64, 128, 320, 512}, .num_vit = 4}},
    {"efficientformer_l7", {.depths{6, 6, 18, 8}, .embed_dims{96, 192, 384, 768}, .num_vit = 8}},
};

}  // namespace

FOVEA_FAMILY(efficientformer, EfficientFormer, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::efficientformer
