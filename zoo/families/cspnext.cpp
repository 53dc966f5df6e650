// SPDX-License-Identifier: Apache-2.0
// zoo/families/cspnext.cpp — CSPNeXt, RTMDet's backbone: https://arxiv.org/abs/2212.07784; timm.models.cspnext
#include <cmath>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::cspnext {
namespace {

struct Cfg {
  std::array<int, 4> depths{3, 6, 6, 3}, channels{128, 256, 512, 1024};
  double deepen_factor = 1, widen_factor = 1, expand_ratio = 0.5;
  bool channel_attention = true;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  Act act_layer = act::silu;
};
FOVEA_SETTINGS(Cfg, depths, channels, deepen_factor, widen_factor, expand_ratio, channel_attention, norm_layer,
               act_layer)

ConvNormAct conv(const Cfg& c, int in, int out, int kernel, const Conv2dOptions& o = {}) {
  return ConvNormAct(in, out, kernel, {.conv = o, .norm = {.kind = c.norm_layer}, .act = c.act_layer});
}

// Maxima of ever larger windows beside the map itself.
struct SppBottleneck final : Module {
  Ref<Module> conv1, conv2;
  std::vector<Ref<Module>> pools;
  SppBottleneck(const Cfg& c, int in, int out) {
    conv1 = add("conv1", conv(c, in, in / 2, 1));
    Sequential all;
    for (const int k : {5, 9, 13}) pools.push_back(all.add(MaxPool2d(k, {.stride = 1, .padding = k / 2})));
    add("poolings", std::move(all));
    conv2 = add("conv2", conv(c, in / 2 * 4, out, 1));
  }
  Tensor forward(const Tensor& x) override {
    Tensors sizes{conv1(x)};
    for (const Ref<Module>& pool : pools) sizes.push_back(pool(sizes[0]));
    return conv2(cat(sizes, 1));
  }
};

struct DepthwiseSeparable final : Module {
  Ref<Module> depthwise, pointwise;
  DepthwiseSeparable(const Cfg& c, int channels, int dilation) {
    depthwise = add("depthwise_conv", conv(c, channels, channels, 5, {.dilation = dilation, .groups = channels}));
    pointwise = add("pointwise_conv", conv(c, channels, channels, 1));
  }
  Tensor forward(const Tensor& x) override { return pointwise(depthwise(x)); }
};

struct StageOptions {
  int in, out, depth, dilation;
  bool residual;
};

struct Block final : Module {
  Ref<Module> conv1, conv2;
  Maybe<Module> drop_path;
  bool residual;
  Block(const Cfg& c, int channels, const StageOptions& p, double drop) : residual(p.residual) {
    conv1 = add("conv1", conv(c, channels, channels, 3, {.dilation = p.dilation}));
    conv2 = add("conv2", DepthwiseSeparable(c, channels, p.dilation));
    if (residual && drop > 0) drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv2(conv1(x));
    return residual ? drop_path(y) + x : y;
  }
};

// Half of the channels pass by the blocks.
struct Layer final : Module {
  Ref<Module> short_conv, main_conv, blocks, final_conv;
  Maybe<Module> attention;
  Layer(const Cfg& c, const StageOptions& p, DropPathRamp& drop_path) {
    const int mid = static_cast<int>(p.out * c.expand_ratio);
    short_conv = add("short_conv", conv(c, p.out, mid, 1));
    main_conv = add("main_conv", conv(c, p.out, mid, 1));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(Block(c, mid, p, p.residual ? drop_path.next() : 0));
    blocks = add("blocks", std::move(all));
    if (c.channel_attention) attention = add("attention", EffectiveSEModule(2 * mid));
    final_conv = add("final_conv", conv(c, 2 * mid, p.out, 1));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor passed = short_conv(x);
    return final_conv(attention(cat({blocks(main_conv(x)), passed}, 1)));
  }
};

class CspNext final : public Chained<HeadedModel> {
 public:
  CspNext(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const int out = std::max(scaled(c, 0) / 2, 1), half = std::max(out / 2, 1);
    Sequential first;
    first.add(conv(c, o.in_chans.value_or(3), half, 3, {.stride = 2}));
    first.add(conv(c, half, half, 3));
    first.add(conv(c, half, out, 3));
    add("stem", std::move(first));
    stem("stem", Level::yes);
    head(add_stages(c, o, out));
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    std::vector<LayerGroup> rows{{0, "^stem"}};
    for (int s = 0; s < 4; ++s) {
      const std::string layer = str_cat("^stages.", s, s == 3 ? ".2." : ".1.");
      rows.push_back({s + 1, layer + "blocks.#"});
      rows.push_back({.group = s + 1, .pattern = layer + "attention", .joins_previous = true});
      rows.push_back({.group = s + 1, .pattern = layer + "final_conv", .joins_previous = true});
      rows.push_back({.group = s + 1, .pattern = str_cat("^stages.", s), .number = 0});
    }
    return rows;
  }

 private:
  static int scaled(const Cfg& c, size_t stage) { return static_cast<int>(c.channels[stage] * c.widen_factor); }
  static int depth(const Cfg& c, size_t stage) {
    return std::max(static_cast<int>(std::nearbyint(c.depths[stage] * c.deepen_factor)), 1);
  }

  int add_stages(const Cfg& c, const ModelOptions& o, int channels) {
    // the last stage drops no paths: it has no shortcuts
    DropPathRamp drop_path(o, depth(c, 0) + depth(c, 1) + depth(c, 2));
    Dilator strides{.reached = 2, .limit = o.output_stride.value_or(32)};
    Sequential all;
    for (size_t s = 0; s < 4; ++s) {
      const Dilator::Step step = strides.next(2);
      const StageOptions p{
          .in = channels, .out = scaled(c, s), .depth = depth(c, s), .dilation = step.dilation, .residual = s < 3};
      Sequential stage;
      stage.add(conv(c, p.in, p.out, 3, {.stride = step.stride, .dilation = step.first_dilation}));
      if (s == 3) stage.add(SppBottleneck(c, p.out, p.out));
      stage.add(Layer(c, p, drop_path));
      all.add(std::move(stage));
      channels = p.out;
    }
    add("stages", std::move(all));
    parts("stages", {0, 1, 2, 3});
    return channels;
  }
};

// OpenMMLab's.
constexpr Rename kOpenMmLab[] = {{"^backbone.", ""},
                                 {"^stage1.", "stages.0."},
                                 {"^stage2.", "stages.1."},
                                 {"^stage3.", "stages.2."},
                                 {"^stage4.", "stages.3."}};

constexpr Variant<Cfg> variants[] = {
    {"cspnext_l", {}},
    {"cspnext_m", {.deepen_factor = 0.67, .widen_factor = 0.75}},
    {"cspnext_s", {.deepen_factor = 0.33, .widen_factor = 0.5}},
    {"cspnext_tiny", {.deepen_factor = 0.167, .widen_factor = 0.375}},
    {"cspnext_x", {.deepen_factor = 1.33, .widen_factor = 1.25}},
};

}  // namespace

FOVEA_FAMILY(cspnext, CspNext, variants, .accepts = {.output_stride = true, .least_output_stride = 8},
             .renames = kOpenMmLab)
}  // namespace fovea::zoo::cspnext
