// SPDX-License-Identifier: Apache-2.0
// zoo/families/tiny_vit.cpp — TinyViT: a stage of convolutions, then attention within windows and a depthwise
// convolution behind it; timm.models.tiny_vit; https://arxiv.org/abs/2207.10666
#include <cmath>

#include "weights_tools/edit.h"
#include "zoo/blocks/distance_bias.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::tiny_vit {
namespace {

struct Cfg {
  std::array<int, 4> embed_dims{96, 192, 384, 768}, depths{2, 2, 6, 2}, num_heads{3, 6, 12, 24},
      window_sizes{7, 7, 14, 7};
  double mlp_ratio = 4, mbconv_expand_ratio = 4, proj_drop_rate = 0;
  float drop_path_rate = 0.1f;
  int local_conv_size = 3;
  Act act_layer = act::gelu;
};
FOVEA_SETTINGS(Cfg, embed_dims, depths, num_heads, window_sizes, mlp_ratio, mbconv_expand_ratio, proj_drop_rate,
               drop_path_rate, local_conv_size, act_layer)

ConvNorm normed(int in, int out, double gain = 1) { return {"conv", in, out, 1, {}, gain}; }
ConvNorm depthwise(int dim, int kernel, int stride = 1) {
  return {"conv", dim, dim, kernel, {.stride = stride, .groups = dim, .padding = kernel / 2}};
}

/// Three convolutions: a residual block, or what halves the map in front of a stage.
struct Convs : Module {
  Ref<Module> conv1, conv2, conv3;
  Act act;
  Convs(const Cfg& c, int in, int hidden, int out, int stride) : act(c.act_layer) {
    conv1 = add("conv1", normed(in, hidden));
    conv2 = add("conv2", depthwise(hidden, 3, stride));
    conv3 = add("conv3", normed(hidden, out, stride > 1 ? 1 : 0));
  }
  Tensor forward(const Tensor& x) override { return conv3(activate(conv2(activate(conv1(x), act)), act)); }
};
struct MbConv final : Convs {
  Ref<Module> drop_path;
  MbConv(const Cfg& c, int dim, double drop) : Convs(c, dim, static_cast<int>(dim * c.mbconv_expand_ratio), dim, 1) {
    drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override { return activate(drop_path(Convs::forward(x)) + x, act); }
};

/// Over the tokens of windows.
struct Attention final : DistanceBiased {
  int heads;
  int64_t head;  // channels of one
  Ref<Module> norm, qkv, proj;
  Attention(int dim, int heads_, int window) : heads(heads_), head(head_channels(dim, heads_)) {
    add_biases(window, heads);
    norm = add("norm", LayerNorm(dim, 1e-5));
    qkv = add("qkv", Linear(dim, 3 * dim));
    proj = add("proj", Linear(dim, dim));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(split_heads(qkv(norm(x)), heads), head, 3);
    return proj(merge_heads(sdpa(part[0], part[1], part[2], biases(x.dim(1)))));
  }
};

struct NormMlp final : Module {
  Ref<Module> norm, fc1, act, drop1, fc2, drop2;
  NormMlp(const Cfg& c, int dim) {
    const int hidden = static_cast<int>(dim * c.mlp_ratio);
    norm = add("norm", LayerNorm(dim, 1e-5));
    fc1 = add("fc1", Linear(dim, hidden));
    act = add("act", Activation(c.act_layer));
    drop1 = add("drop1", Dropout(c.proj_drop_rate));
    fc2 = add("fc2", Linear(hidden, dim));
    drop2 = add("drop2", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop2(fc2(drop1(act(fc1(norm(x)))))); }
};

/// Over N,H,W,C, which zeros fill up to whole windows for attention.
struct Block final : Module {
  int window;
  Ref<Module> attn, drop_path1, mlp, drop_path2, local_conv;
  Block(const Cfg& c, size_t s, double drop) : window(c.window_sizes[s]) {
    const int dim = c.embed_dims[s];
    attn = add("attn", Attention(dim, c.num_heads[s], window));
    drop_path1 = add("drop_path1", DropPath(drop));
    mlp = add("mlp", NormMlp(c, dim));
    drop_path2 = add("drop_path2", DropPath(drop));
    local_conv = add("local_conv", depthwise(dim, c.local_conv_size));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = permute(x + drop_path1(in_windows(x, window, attn)), {0, 3, 1, 2});
    const Tensor z = permute(local_conv(y), {0, 2, 3, 1});
    return z + drop_path2(mlp(z));
  }
};

struct Stage final : ShrinkingStage {
  bool attends;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) : attends(p.stage > 0) {
    if (attends) downsample = add("downsample", Convs(c, p.in, p.out, p.out, 2));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) {
      if (attends) all.add(Block(c, p.stage, drop_path.next()));
      else all.add(MbConv(c, p.out, drop_path.next()));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override {
    if (!attends) return blocks(x);
    return permute(blocks(permute(downsample(x), {0, 2, 3, 1})), {0, 3, 1, 2});
  }
};

class TinyVit final : public StagedModel {
 public:
  TinyVit(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    stem_name_ = "patch_embed";
    const int dim = c.embed_dims[0];
    Sequential first;
    first.add("conv1", ConvNorm("conv", o.in_chans.value_or(3), dim / 2, 3, {.stride = 2, .padding = 1}));
    first.add("act", Activation(c.act_layer));
    first.add("conv2", ConvNorm("conv", dim / 2, dim, 3, {.stride = 2, .padding = 1}));
    add("patch_embed", std::move(first));
    add_stages<Stage>(c, stage_places(c.depths, c.embed_dims), o, "stages", c.drop_path_rate);
    staged_head(c.embed_dims[3], {.norm{.kind = NormSpec::Kind::layer, .eps = 1e-5}});
    start_linear(*this, init::trunc_normal(0.02));
  }
  std::vector<std::string> no_weight_decay() const override { return {"attention_biases"}; }
};

constexpr Rename kNames[] = {{"^**.attention_bias_idxs", nullptr}};

// Biases of other windows are resized; weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  const StateDict own = model.state_dict();
  for (const std::string& name : weights.names()) {
    const Tensor* mine = name.ends_with("attention_biases") ? own.find(name) : nullptr;
    if (!mine) continue;
    change(weights, name, [&](const Tensor& t) {
      const auto side = [](const Tensor& of) { return std::llround(std::sqrt(static_cast<double>(of.dim(1)))); };
      const int64_t from = side(t), to = side(*mine);
      if (from == to || from * from != t.dim(1)) return t;
      const Tensor resized = interpolate(reshape(cast(t, DType::f32), {1, t.dim(0), from, from}), {to, to},
                                         {.mode = Interpolation::cubic, .antialias = true});
      return cast(reshape(resized, {t.dim(0), to * to}), t.dtype());
    });
  }
  if (weights.contains("patch_embed.conv1.weight")) fuse(model);
  return weights;
}

constexpr Cfg m5{.embed_dims{64, 128, 160, 320}, .num_heads{2, 4, 5, 10}, .drop_path_rate = 0},
    m11{.embed_dims{64, 128, 256, 448}, .num_heads{2, 4, 8, 14}};
constexpr Cfg m21(std::array<int, 4> windows, float drop_path_rate) {
  return {.embed_dims{96, 192, 384, 576},
          .num_heads{3, 6, 12, 18},
          .window_sizes = windows,
          .drop_path_rate = drop_path_rate};
}
constexpr Variant<Cfg> variants[] = {
    {"tiny_vit_11m_224", m11},
    {"tiny_vit_21m_224", m21({7, 7, 14, 7}, 0.2f)},
    {"tiny_vit_21m_384", m21({12, 12, 24, 12}, 0.1f)},
    {"tiny_vit_21m_512", m21({16, 16, 32, 16}, 0.1f)},
    {"tiny_vit_5m_224", m5},
};

}  // namespace

FOVEA_FAMILY(tiny_vit, TinyVit, variants, .renames = kNames, .adapt = adapt)

}  // namespace fovea::zoo::tiny_vit
