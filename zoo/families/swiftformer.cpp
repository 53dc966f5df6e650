// SPDX-License-Identifier: Apache-2.0
// zoo/families/swiftformer.cpp — SwiftFormer: convolutions, and at the end of each stage attention that adds up all
// queries to one. timm.models.swiftformer; https://arxiv.org/abs/2303.15446
#include <cmath>

#include "zoo/blocks/channel_factors.h"
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/network_names.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::swiftformer {
namespace {

struct Cfg {
  std::array<int, 4> layers{3, 3, 6, 4}, embed_dims{48, 56, 112, 220};
  std::array<int, 4> downsamples{0, 1, 1, 1};  // 1: the stage begins with a convolution that makes the map smaller
  double mlp_ratios = 4;
  Act act_layer = act::gelu;
  int down_patch_size = 3, down_stride = 2, down_pad = 1;  // of that convolution
  double proj_drop_rate = 0;
  bool use_layer_scale = true;
  double layer_scale_init_value = 1e-5;
};
FOVEA_SETTINGS(Cfg, layers, embed_dims, downsamples, mlp_ratios, act_layer, down_patch_size, down_stride, down_pad,
               proj_drop_rate, use_layer_scale, layer_scale_init_value)

/// A depthwise convolution and two of single pixels, on a residual path.
struct ConvEncoder final : Module {
  Ref<Module> dwconv, norm, pwconv1, act, pwconv2, drop_path;
  Maybe<Module> layer_scale;
  ConvEncoder(const Cfg& c, int dim, int hidden, double drop_rate) {
    dwconv = add("dwconv", Conv2d(dim, dim, 3, {.groups = dim, .bias = true}));
    norm = add("norm", BatchNorm2d(dim));
    pwconv1 = add("pwconv1", Conv2d(dim, hidden, 1, {.bias = true}));
    act = add("act", Activation(c.act_layer));
    pwconv2 = add("pwconv2", Conv2d(hidden, dim, 1, {.bias = true}));
    drop_path = add("drop_path", DropPath(drop_rate));
    if (c.use_layer_scale) layer_scale = add("layer_scale", ChannelFactors(dim, 1));
  }
  Tensor forward(const Tensor& x) override {
    return x + drop_path(layer_scale(pwconv2(act(pwconv1(norm(dwconv(x)))))));
  }
};

struct ConvMlp final : Module {
  Ref<Module> norm1, fc1, act, fc2, drop;
  ConvMlp(const Cfg& c, int dim) {
    const int hidden = static_cast<int>(dim * c.mlp_ratios);
    norm1 = add("norm1", BatchNorm2d(dim));
    fc1 = add("fc1", Conv2d(dim, hidden, 1, {.bias = true}));
    act = add("act", Activation(c.act_layer));
    fc2 = add("fc2", Conv2d(hidden, dim, 1, {.bias = true}));
    drop = add("drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop(fc2(drop(act(fc1(norm1(x)))))); }
};

/// Queries, weighed by what a vector says of each, add up to one, which scales all keys.
struct AdditiveAttention final : Module {
  Param w_g;
  Ref<Module> to_query, to_key, proj, final_;
  double scale;
  explicit AdditiveAttention(int dim) : scale(1 / std::sqrt(static_cast<double>(dim))) {
    w_g = param("w_g", {dim, 1}, init::normal(1));
    to_query = add("to_query", Linear(dim, dim));
    to_key = add("to_key", Linear(dim, dim));
    proj = add("proj", Linear(dim, dim));
    final_ = add("final", Linear(dim, dim));
  }
  Tensor forward(const Tensor& map) override {
    const Tensor x = flatten(permute(map, {0, 2, 3, 1}), 1, 2);
    const Tensor query = normalize(to_query(x), 2), key = normalize(to_key(x), 2);
    const Tensor shares = normalize(matmul(query, w_g) * scale, 1);   // N, L, 1
    const Tensor all = matmul(shares, query, {.transpose_a = true});  // N, 1, C
    const Tensor y = final_(proj(all * key) + query);
    return permute(unflatten(y, 1, {map.dim(2), map.dim(3)}), {0, 3, 1, 2});
  }
};

struct Block final : Module {
  Ref<Module> local_representation, attn, linear, drop_path;
  Maybe<Module> layer_scale_1, layer_scale_2;
  Block(const Cfg& c, int dim, double drop_rate) {
    local_representation = add("local_representation", ConvEncoder(c, dim, dim, 0));
    attn = add("attn", AdditiveAttention(dim));
    linear = add("linear", ConvMlp(c, dim));
    drop_path = add("drop_path", DropPath(drop_rate));
    if (!c.use_layer_scale) return;
    layer_scale_1 = add("layer_scale_1", ChannelFactors(dim, c.layer_scale_init_value));
    layer_scale_2 = add("layer_scale_2", ChannelFactors(dim, c.layer_scale_init_value));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = local_representation(x), z = y + drop_path(layer_scale_1(attn(y)));
    return z + drop_path(layer_scale_2(linear(z)));
  }
};

struct Embedding final : Module {
  Ref<Module> proj, norm;
  Embedding(const Cfg& c, int in, int out) {
    proj =
        add("proj", Conv2d(in, out, c.down_patch_size, {.stride = c.down_stride, .padding = c.down_pad, .bias = true}));
    norm = add("norm", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return norm(proj(x)); }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s, DropPathRamp& drop_path) {
    const int dim = c.embed_dims[s], hidden = static_cast<int>(dim * c.mlp_ratios);
    if (c.downsamples[s]) downsample = add("downsample", Embedding(c, c.embed_dims[s > 0 ? s - 1 : 0], dim));
    Sequential all;
    for (int i = 1; i < c.layers[s]; ++i) all.add(ConvEncoder(c, dim, hidden, drop_path.next()));
    if (c.layers[s] > 0) all.add(Block(c, dim, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class SwiftFormer final : public DistilledModel {
 public:
  SwiftFormer(const Cfg& c, const ModelOptions& o) : DistilledModel(o) {
    Sequential first;
    int in = o.in_chans.value_or(3);
    for (const int out : {c.embed_dims[0] / 2, c.embed_dims[0]}) {
      first.add(Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = true}));
      first.add(BatchNorm2d(out));
      first.add(Activation(act::relu));
      in = out;
    }
    add("stem", std::move(first));
    DropPathRamp drop_path(o, c.layers);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) stages.add(Stage(c, s, drop_path));
    add_stages(std::move(stages), std::make_unique<BatchNorm2d>(c.embed_dims[3]));
    add_heads(c.embed_dims[3]);
    start_weights(*this, init::trunc_normal(0.02));
  }
};

constexpr Rename kOriginal[] = {
    {"^patch_embed.", "stem."},
    {"^dist_head.", "head_dist."},
    {"attn.Proj.", "attn.proj."},
    {"layer_scale_1", "layer_scale_1.gamma"},
    {"layer_scale_2", "layer_scale_2.gamma"},
    {"layer_scale", "layer_scale.gamma"},
};

StateDict adapt(ImageModel&, StateDict weights) {
  if (weights.contains("stem.0.weight")) return weights;
  return rename(network_to_stages(weights), kOriginal);
}

constexpr Variant<Cfg> variants[] = {
    {"swiftformer_l1", {.layers{4, 3, 10, 5}, .embed_dims{48, 96, 192, 384}}},
    {"swiftformer_l3", {.layers{4, 4, 12, 6}, .embed_dims{64, 128, 320, 512}}},
    {"swiftformer_s", {.layers{3, 3, 9, 6}, .embed_dims{48, 64, 168, 224}}},
    {"swiftformer_xs", {}},
};

}  // namespace

FOVEA_FAMILY(swiftformer, SwiftFormer, variants, .adapt = adapt)

}  // namespace fovea::zoo::swiftformer
