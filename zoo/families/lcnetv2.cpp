// SPDX-License-Identifier: Apache-2.0
// zoo/families/lcnetv2.cpp — PP-LCNetV2: depthwise convolutions of several sizes side by side; timm.models.lcnetv2
#include "nn/fuse.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/conv_headed.h"
#include "zoo/blocks/first_values.h"
#include "zoo/family.h"

namespace fovea::zoo::lcnetv2 {
namespace {

struct Cfg {
  double scale = 1;  // of channel numbers
  std::array<int, 4> depths{2, 2, 6, 2};
  int head_hidden_size = 1280;  // 0: no layer between pooling and classifier
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  bool inference_mode = false;  // one depthwise convolution instead of several
};
FOVEA_SETTINGS(Cfg, scale, depths, head_hidden_size, act_layer, norm_layer, inference_mode)

struct ConvOf {
  int stride = 1, groups = 1;
  bool act = true;
};
ConvNormAct conv(const Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
  return {in,
          out,
          kernel,
          {.conv{.stride = o.stride, .groups = o.groups},
           .norm{.kind = c.norm_layer},
           .act = o.act ? c.act_layer : act::none}};
}

// What the blocks of a stage are like.
struct Style {
  int channels = 32, kernel = 3;
  bool splits = false;    // the pointwise convolution is two, with half the channels in between
  bool branches = false;  // the depthwise convolution is the sum of all odd sizes
  bool attends = false, residual = false;
};

struct DepthwiseSeparable final : Module, Fusible {
  Maybe<Sequential> dw_conv_list;
  Maybe<Module> dw_conv, dw_act, se;
  Ref<Module> pw_conv;
  bool shortcut;
  DepthwiseSeparable(const Cfg& c, const Style& s, int in, int out, int stride)
      : shortcut(s.residual && stride == 1 && in == out) {
    const ConvOf depthwise{.stride = stride, .groups = in, .act = !s.branches};
    if (!s.branches) {
      dw_conv = add("dw_conv", conv(c, in, in, s.kernel, depthwise));
    } else if (c.inference_mode) {
      dw_conv = add("dw_conv", Conv2d(in, in, s.kernel, {.stride = stride, .groups = in, .bias = true}));
    } else {
      // A 1x1 convolution with a stride is no part of a larger one.
      Sequential sizes;
      for (int kernel = s.kernel; kernel > (stride > 1 ? 1 : 0); kernel -= 2)
        sizes.add(conv(c, in, in, kernel, depthwise));
      dw_conv_list = add("dw_conv_list", std::move(sizes));
    }
    if (s.branches) dw_act = add("dw_act", Activation(c.act_layer));
    if (s.attends) se = add("se", SEModule(in, {.channels = in / 4, .act = c.act_layer}));
    if (s.splits) {
      Sequential two;
      two.add(conv(c, in, out / 2, 1));
      two.add(conv(c, out / 2, out, 1));
      pw_conv = add("pw_conv", std::move(two));
    } else {
      pw_conv = add("pw_conv", conv(c, in, out, 1));
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = pw_conv(se(dw_act(dw_conv ? dw_conv(x) : branches(x))));
    return shortcut ? y + x : y;
  }
  void fuse() override {
    if (dw_conv) return;
    std::unique_ptr<Conv2d> conv = fused_conv(*this, dynamic_cast<Conv2d&>(*find("dw_conv_list.0.conv")),
                                              Branches([this](const Tensor& x) { return branches(x); }));
    give_up({dw_conv_list.get()});
    dw_conv = add("dw_conv", std::move(conv));
  }

 private:
  Tensor branches(const Tensor& x) {
    const Scope scope("dw_conv_list");
    const auto& sizes = dw_conv_list->children();
    Tensor y = (*sizes[0])(x);
    for (size_t i = 1; i < sizes.size(); ++i) y = y + (*sizes[i])(x);
    return y;
  }
};

class LcNetV2 final : public Chained<ConvHeaded<ImageModel>> {
 public:
  LcNetV2(const Cfg& c, const ModelOptions& o) : Chained(o) {
    constexpr Style kStages[] = {
        {.channels = 128},
        {.channels = 256},
        {.channels = 512, .kernel = 5, .splits = true, .branches = true, .attends = true},
        {.channels = 1024, .kernel = 5, .branches = true, .residual = true},
    };
    const int first = make_divisible(32 * c.scale);
    int channels = make_divisible(64 * c.scale);
    Sequential stem, stages;
    stem.add(conv(c, o.in_chans.value_or(3), first, 3, {.stride = 2}));
    stem.add(DepthwiseSeparable(c, {}, first, channels, 1));
    add("stem", std::move(stem));
    this->stem("stem");
    for (size_t s = 0; s < 4; ++s) {
      const int out = make_divisible(kStages[s].channels * c.scale);
      Sequential stage;
      for (int i = 0; i < c.depths[s]; ++i) {
        stage.add(DepthwiseSeparable(c, kStages[s], channels, out, i == 0 ? 2 : 1));
        channels = out;
      }
      stages.add(std::move(stage));
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    conv_head(channels, {.hidden = c.head_hidden_size, .conv{}, .act = c.act_layer, .drop_pre_logits = false});
    he_normal_convs(*this, Fan::out);
    zero_biases(*this);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^stem"}, {1, coarse ? "^stages.#" : "^stages.#.#"}};
  }
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stages.2.0.dw_conv.weight")) fuse(model);
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"lcnetv2_base", {}},
    {"lcnetv2_large", {.scale = 1.25, .depths{2, 2, 8, 2}}},
    {"lcnetv2_small", {.scale = 0.75, .depths{2, 2, 4, 2}}},
};

}  // namespace

FOVEA_FAMILY(lcnetv2, LcNetV2, variants, .accepts = {.drop_path_rate = false}, .adapt = adapt)
}  // namespace fovea::zoo::lcnetv2
