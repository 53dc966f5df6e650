// SPDX-License-Identifier: Apache-2.0
// zoo/families/iformer.cpp — iFormer: convolutions, and in late stages one head whose answer a gate modulates;
// timm.models.iformer; https://arxiv.org/abs/2501.15369
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/blocks/stage_groups.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::iformer {
namespace {

struct Cfg {
  std::array<int, 4> dims{32, 64, 128, 256}, depths{2, 2, 16, 6};
  std::array<int, 4> attn_groups{0, 0, 3, 2};  // of three blocks each: positions, attention and a network
  std::array<int, 4> attn_head_dim_reduction{0, 0, 2, 4};
  int conv_ratio = 4, ffn_ratio = 3, attn_ratio = 1;  // channels of what is hidden, and of values
  double layer_scale_init_value = 0;                  // 0: no factors
  Act act_layer = act::gelu;
  bool distillation = false;  // two classifiers, whose mean counts
};
FOVEA_SETTINGS(Cfg, dims, depths, attn_groups, attn_head_dim_reduction, conv_ratio, ffn_ratio, attn_ratio,
               layer_scale_init_value, act_layer, distillation)

ConvNorm normed(int in, int out) { return {"c", in, out}; }
ConvNorm depthwise(int dim, int kernel) { return {"c", dim, dim, kernel, {.groups = dim, .padding = kernel / 2}}; }

struct Residual final : Module {
  Param gamma;
  Ref<Module> module, drop_path;
  Residual(const Cfg& c, int dim, std::unique_ptr<Module> branch, double drop) {
    if (c.layer_scale_init_value > 0) gamma = param("gamma", {1, dim, 1, 1}, init::constant(c.layer_scale_init_value));
    module = add("module", std::move(branch));
    drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = drop_path(module(x));
    return gamma ? x + *gamma * y : x + y;
  }
};

/// A block is its child "mixer".
struct Block final : Module {
  Ref<Module> mixer;
  Block(const Cfg& c, int dim, std::unique_ptr<Module> branch, double drop) {
    mixer = add("mixer", Residual(c, dim, std::move(branch), drop));
  }
  Tensor forward(const Tensor& x) override { return mixer(x); }
};

/// Two layers of single pixels; a kernel: behind a depthwise convolution.
std::unique_ptr<Module> network(const Cfg& c, int dim, int ratio, int kernel = 0) {
  auto all = std::make_unique<Sequential>();
  if (kernel) all->add(depthwise(dim, kernel));
  all->add(normed(dim, ratio * dim));
  all->add(Activation(c.act_layer));
  all->add(normed(ratio * dim, dim));
  return all;
}

struct Attention final : Module {
  Ref<Module> q, k, v_gate, proj;
  Attention(const Cfg& c, int dim, int reduction) {
    const int hidden = dim * c.attn_ratio;
    q = add("q", normed(dim, dim / reduction));
    k = add("k", normed(dim, dim / reduction));
    v_gate = add("v_gate", normed(dim, 2 * hidden));
    proj = add("proj", normed(hidden, dim));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> both = chunk(sigmoid(v_gate(x)), 2, 1);
    const Tensor y = sdpa(split_map_heads(q(x), 1), split_map_heads(k(x), 1), split_map_heads(both[0], 1));
    return proj(merge_map_heads(y, x.dim(2), x.dim(3)) * both[1]);
  }
};

/// What neighbours say of a pixel's place.
struct Positions final : FusibleLayer {
  struct Around final : Module {
    Ref<ConvNorm> module;
    explicit Around(int dim) { module = add("module", depthwise(dim, 3)); }
    Tensor forward(const Tensor& x) override { return x + module(x); }
  };
  Ref<Around> cpe;
  explicit Positions(int dim) { cpe = add("cpe", Around(dim)); }
  Tensor branches(const Tensor& x) override { return cpe(x); }
  std::unique_ptr<Module> layer() override {
    return fused_conv(*this, *cpe->module->conv, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s, DropPathRamp& drop_path) {
    const int in = c.dims[s > 0 ? s - 1 : 0], dim = c.dims[s], groups = c.attn_groups[s],
              convs = c.depths[s] - 3 * groups;
    if (convs < 0 || (groups > 0 && c.attn_head_dim_reduction[s] < 1))
      throw Error(Error::Kind::argument, str_cat(groups, " groups with attention in a stage of ", c.depths[s]),
                  "a group is three blocks, and attn_head_dim_reduction at least 1");
    if (in != dim) downsample = add("downsample", ConvNorm("c", in, dim, 3, {.stride = 2, .padding = 1}));
    Sequential all;
    const auto convolve = [&](int n) {
      for (int i = 0; i < n; ++i) all.add(Block(c, dim, network(c, dim, c.conv_ratio, 7), drop_path.next()));
    };
    const int behind = groups > 0 && convs > 0 ? 1 : 0;
    convolve(convs - behind);
    for (int i = 0; i < groups; ++i) {
      drop_path.next();
      all.add(Positions(dim));
      auto attention = std::make_unique<Attention>(c, dim, c.attn_head_dim_reduction[s]);
      all.add(Block(c, dim, std::move(attention), drop_path.next()));
      all.add(Block(c, dim, network(c, dim, c.ffn_ratio), drop_path.next()));
    }
    convolve(behind);
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class IFormer final : public DistilledModel {
 public:
  IFormer(const Cfg& c, const ModelOptions& o) : DistilledModel(o), distilled_(c.distillation) {
    const int half = c.dims[0] / 2;
    Sequential first;
    first.add("conv1", ConvNorm("c", o.in_chans.value_or(3), half, 5, {.stride = 2, .padding = 2}));
    first.add("act1", Activation(c.act_layer));
    first.add("conv2", ConvNorm("c", half, 4 * half, 5, {.stride = 2, .padding = 2}));
    first.add("act2", Activation(c.act_layer));
    first.add("conv3", normed(4 * half, c.dims[0]));
    add("stem", std::move(first));
    DropPathRamp drop_path(o, c.depths);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) stages.add(Stage(c, s, drop_path));
    add_stages(std::move(stages));
    add_heads(c.dims[3], false);
    distilled_ = false;  // a new classifier is one
    start_weights(*this, init::trunc_normal(0.02));
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override { return stage_groups("stages", "head", coarse); }

 private:
  std::unique_ptr<Module> classifier_of(int classes) const override {
    return std::make_unique<NormLinears>(num_features_, classes, distilled_);
  }
  bool distilled_;
};

constexpr Rename kOriginal[] = {
    {"^classifier.classifier_dist", "head.head_dist"},
    {"^classifier.classifier", "head.head"},
    {"^classifier", "head.head"},
    {"^downsample_layers.0.0", "stem.conv1"},
    {"^downsample_layers.0.2.conv_exp_bn1", "stem.conv2"},
    {"^downsample_layers.0.2.conv_pwl_bn2", "stem.conv3"},
    {"^downsample_layers.#.0", "stages.$1.downsample"},
    {"^downsample_layers.#", "stages.$1.downsample"},
    {"^stages.#.#.block", "stages.$1.blocks.$2"},
    {"^stages.#.#", "stages.$1.blocks.$2"},
    {"token_channel_mixer", "mixer"},
    {"channel_mixer", "mixer"},
    {"m", "module"},
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.conv1.weight")) fuse(model);
  return weights;
}

constexpr Cfg t{.conv_ratio = 3, .ffn_ratio = 2}, s{.dims{32, 64, 176, 320}, .depths{2, 2, 19, 6}},
    m{.dims{48, 96, 192, 384}, .depths{2, 2, 22, 6}, .attn_groups{0, 0, 4, 2}},
    l{.dims{48, 96, 256, 384}, .depths{2, 2, 33, 6}, .attn_groups{0, 0, 8, 2}},
    l2{.dims{64, 128, 256, 512}, .depths{3, 3, 46, 9}, .attn_groups{0, 0, 11, 3}},
    h{.dims{96, 192, 384, 768},
      .depths{5, 5, 60, 18},
      .attn_groups{0, 0, 15, 6},
      .attn_head_dim_reduction{0, 0, 1, 1},
      .ffn_ratio = 4,
      .layer_scale_init_value = 1e-6};
constexpr Cfg distilled(Cfg c) {
  c.distillation = true;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"iformer_h", h},
    {"iformer_l", l},
    {"iformer_l2", l2},
    {"iformer_l2_distilled", distilled(l2)},
    {"iformer_l_distilled", distilled(l)},
    {"iformer_m", m},
    {"iformer_m_distilled", distilled(m)},
    {"iformer_s", s},
    {"iformer_t", t},
};

}  // namespace

FOVEA_FAMILY(iformer, IFormer, variants, .renames = kOriginal, .adapt = adapt)

}  // namespace fovea::zoo::iformer
