// SPDX-License-Identifier: Apache-2.0
// zoo/families/rexnet.cpp — ReXNet: inverted bottlenecks that widen a little with every block; timm.models.rexnet
#include <cmath>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/efficientnet_builder.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::rexnet {
namespace {

struct Cfg {
  int initial_chs = 16, final_chs = 180;  // of the first block; by how much the last one has more
  double width_mult = 1, depth_mult = 1;
  double se_ratio = 1.0 / 12;  // from the third stage on
  int ch_div = 1;              // of channel numbers
  Act act_layer = act::silu, dw_act_layer = act::relu6;
};
FOVEA_SETTINGS(Cfg, initial_chs, final_chs, width_mult, depth_mult, se_ratio, ch_div, act_layer, dw_act_layer)

struct BlockOptions {
  int in, out;
  double expand, se_ratio;
  Dilator::Step step;
  double drop_path;
};

// The shortcut is added to as many channels as it has.
struct LinearBottleneck final : Module {
  Maybe<Module> conv_exp, se, drop_path;
  Ref<Module> conv_dw, act_dw, conv_pwl;
  int in, out;
  bool shortcut;
  LinearBottleneck(const Cfg& c, const BlockOptions& p)
      : in(p.in),
        out(p.out),
        shortcut(p.step.stride == 1 && p.step.first_dilation == p.step.dilation && p.in <= p.out) {
    int mid = in;
    if (p.expand != 1) {
      mid = make_divisible(std::nearbyint(in * p.expand), c.ch_div);
      conv_exp = add("conv_exp", ConvNormAct(in, mid, 1, {.conv{}, .norm{}, .act = c.act_layer}));
    }
    conv_dw =
        add("conv_dw", ConvNormAct(mid, mid, 3,
                                   {.conv{.stride = p.step.stride, .dilation = p.step.first_dilation, .groups = mid},
                                    .norm{},
                                    .act = act::none}));
    if (p.se_ratio > 0) {
      const int squeezed = make_divisible(std::floor(mid * p.se_ratio), c.ch_div);
      se = add("se", SEModule(mid, {.channels = squeezed, .norm = true}));
    }
    act_dw = add("act_dw", Activation(c.dw_act_layer));
    conv_pwl = add("conv_pwl", ConvNormAct(mid, out, 1, {.conv{}, .norm{}, .act = act::none}));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_pwl(act_dw(se(conv_dw(conv_exp(x)))));
    if (!shortcut) return y;
    const Tensor kept = drop_path(y);
    return in == out ? kept + x : cat({slice(kept, 1, 0, in) + x, slice(kept, 1, in, out)}, 1);
  }
};

class RexNet final : public Chained<HeadedModel> {
 public:
  RexNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    drop_rate_ = o.drop_rate.value_or(0.2f);
    const int first = make_divisible(std::nearbyint(unscaled(c, 32) * c.width_mult), c.ch_div);
    add("stem", ConvNormAct(o.in_chans.value_or(3), first, 3, {.conv{.stride = 2}, .norm{}, .act = c.act_layer}));
    stem("stem");
    const int last = make_divisible(1280 * c.width_mult, c.ch_div);
    add_features(c, o, first, last);
    head(last);
    init_like_tensorflow(*this);
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^features.#"}}; }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {final_conv_}}; }

 private:
  // Narrow networks do not narrow the stem and the first block.
  static double unscaled(const Cfg& c, int channels) { return c.width_mult < 1 ? channels / c.width_mult : channels; }

  void add_features(const Cfg& c, const ModelOptions& o, int channels, int last) {
    constexpr std::array<int, 6> kDepths{1, 2, 2, 3, 3, 5}, kStrides{1, 2, 2, 2, 1, 2};
    const auto depth = [&](size_t stage) { return static_cast<int>(std::ceil(kDepths[stage] * c.depth_mult)); };
    int total = 0;
    for (size_t s = 0; s < kDepths.size(); ++s) total += depth(s);
    DropPathRamp drop_path(o, total);
    Dilator strides{.reached = 2, .limit = o.output_stride.value_or(32)};
    double wanted = unscaled(c, c.initial_chs);
    Sequential features;
    std::vector<int> ends;
    for (size_t s = 0; s < kDepths.size(); ++s)
      for (int i = 0; i < depth(s); ++i) {
        const int out = make_divisible(std::nearbyint(wanted * c.width_mult), c.ch_div);
        wanted += c.final_chs / static_cast<double>(total);
        const int stride = i == 0 ? kStrides[s] : 1;
        if (stride > 1) ends.push_back(features.size() - 1);
        features.add(LinearBottleneck(c, {.in = channels,
                                          .out = out,
                                          .expand = s == 0 ? 1.0 : 6.0,
                                          .se_ratio = s < 2 ? 0 : c.se_ratio,
                                          .step = strides.next(stride),
                                          .drop_path = drop_path.next()}));
        channels = out;
      }
    ends.push_back(total - 1);
    features.add(ConvNormAct(channels, last, 1, {.conv{}, .norm{}, .act = c.act_layer}));
    final_conv_ = str_cat("features.", total);
    add("features", std::move(features));
    parts("features", ends);
  }

  std::string final_conv_;
};

constexpr Cfg wide(double width, int divisor = 1) { return {.width_mult = width, .ch_div = divisor}; }

constexpr Variant<Cfg> variants[] = {
    {"rexnet_100", wide(1)},       {"rexnet_130", wide(1.3)},     {"rexnet_150", wide(1.5)},
    {"rexnet_200", wide(2)},       {"rexnet_300", wide(3)},       {"rexnetr_100", wide(1, 8)},
    {"rexnetr_130", wide(1.3, 8)}, {"rexnetr_150", wide(1.5, 8)}, {"rexnetr_200", wide(2, 8)},
    {"rexnetr_300", wide(3, 16)},
};

}  // namespace

FOVEA_FAMILY(rexnet, RexNet, variants, .accepts = {.output_stride = true, .least_output_stride = 8})
}  // namespace fovea::zoo::rexnet
