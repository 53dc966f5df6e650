// SPDX-License-Identifier: Apache-2.0
// zoo/families/nfnet.cpp — residual networks without norms: NFNet, NF-RegNet, NF-ResNet; timm.models.nfnet
#include <algorithm>
#include <cmath>

#include "nn/layers/scaled_std_conv.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::nfnet {
namespace {

struct Cfg {
  std::array<int, 4> depths{1, 2, 6, 3}, channels{256, 512, 1536, 1536};
  double alpha = 0.2;  // of what a block adds
  // one convolution or three ("deep"), of rising widths ("tiered"), or four; some in front of pooling
  std::string_view stem_type = "3x3";
  int stem_chs = 0;    // 0: as the first stage
  int group_size = 0;  // of 3x3 convolutions; 0: one group
  std::string_view attn_layer;
  double rd_ratio = 0;  // of the attention; 0: its own
  int rd_divisor = 0;
  double attn_gain = 2;  // of what attention has weakened
  double width_factor = 1, bottle_ratio = 0.5;
  int num_features = 0;  // of a last convolution; 0: there is none
  int ch_div = 8;        // of channel numbers
  bool reg = false;      // blocks expand, and attention is in their middle
  bool extra_conv = false;
  bool gamma_in_act = false;  // activations keep the variance themselves, not the convolutions' weights
  bool same_padding = false;
  double std_conv_eps = 1e-5;
  bool skipinit = false;  // blocks begin as their shortcuts, by a learned factor
  bool zero_init_fc = false;
  Act act_layer = act::silu;
};
FOVEA_SETTINGS(Cfg, depths, channels, alpha, stem_type, stem_chs, group_size, attn_layer, rd_ratio, rd_divisor,
               attn_gain, width_factor, bottle_ratio, num_features, ch_div, reg, extra_conv, gamma_in_act, same_padding,
               std_conv_eps, skipinit, zero_init_fc, act_layer)

// One over the deviation of an activation of normally distributed values.
double gamma_of(const Act& a) {
  struct Row {
    Act act;
    double gamma;
  };
  constexpr Row kRows[] = {
      {act::none, 1.0},
      {act::celu, 1.270926833152771},
      {act::elu, 1.2716004848480225},
      {act::gelu, 1.7015043497085571},
      {act::leaky_relu, 1.70590341091156},
      {act::relu, 1.7139588594436646},
      {act::relu6, 1.7131484746932983},
      {act::selu, 1.0008515119552612},
      {act::sigmoid, 4.803835391998291},
      {act::silu, 1.7881293296813965},
      {act::tanh, 1.5939117670059204},
  };
  for (const Row& r : kRows)
    if (r.act == a) return r.gamma;
  throw Error(Error::Kind::argument, str_cat("it is not known how '", name_of(a), "' changes the variance"),
              "there are identity, celu, elu, gelu, leaky_relu, relu, relu6, selu, sigmoid, silu and tanh");
}

struct ConvOf {
  int stride = 1, dilation = 1, groups = 1;
  double gain = 1;
};
ScaledStdConv2d conv(const Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
  return {in,
          out,
          kernel,
          {.conv{.stride = o.stride,
                 .dilation = o.dilation,
                 .groups = o.groups,
                 .padding = c.same_padding ? Padding(Padding::Kind::same) : Padding(),
                 .bias = true},
           .gamma = c.gamma_in_act ? 1 : gamma_of(c.act_layer),
           .eps = c.std_conv_eps,
           .gain = o.gain}};
}

struct GammaAct final : Module {
  Act act;
  double scale;
  explicit GammaAct(const Cfg& c, double beta = 1)
      : act(c.act_layer),
        scale((c.gamma_in_act ? gamma_of(c.act_layer) : 1) * beta) {}
  Tensor forward(const Tensor& x) override { return scale == 1 ? activate(x, act) : activate(x, act) * scale; }
};

struct BlockOptions {
  int in, out, stride, first_dilation, dilation;
  double beta, bottle_ratio, drop_path;
};

struct Downsample final : Module {
  Ref<Module> pool, conv_;
  Downsample(const Cfg& c, const BlockOptions& p) {
    pool = add("pool", shortcut_pool(p.stride, p.dilation));
    conv_ = add("conv", conv(c, p.in, p.out, 1));
  }
  Tensor forward(const Tensor& x) override { return conv_(pool(x)); }
};

struct Block final : Module {
  Maybe<Module> downsample, attn, attn_last, drop_path;
  Ref<Module> act1, act3, conv3;
  std::vector<Ref<Module>> inner;
  Param skipinit_gain;
  double attn_gain, alpha;
  Block(const Cfg& c, const BlockOptions& p) : attn_gain(c.attn_gain), alpha(c.alpha) {
    int mid = make_divisible((c.reg ? p.in : p.out) * p.bottle_ratio, c.ch_div);
    const int groups = c.group_size ? mid / c.group_size : 1;
    if (c.group_size && c.group_size % c.ch_div == 0) mid = c.group_size * groups;
    if (c.skipinit) skipinit_gain = param("skipinit_gain", {}, init::zeros());
    if (p.in != p.out || p.stride != 1 || p.dilation != p.first_dilation)
      downsample = add("downsample", Downsample(c, p));
    act1 = add("act1", GammaAct(c, p.beta));
    inner = {add("conv1", conv(c, p.in, mid, 1)), add("act2", GammaAct(c)),
             add("conv2", conv(c, mid, mid, 3, {.stride = p.stride, .dilation = p.first_dilation, .groups = groups}))};
    if (c.extra_conv) {
      inner.push_back(add("act2b", GammaAct(c)));
      inner.push_back(add("conv2b", conv(c, mid, mid, 3, {.dilation = p.dilation, .groups = groups})));
    }
    const SqueezeOptions squeeze{.ratio = c.rd_ratio, .divisor = c.rd_divisor};
    if (c.reg) attn = add("attn", channel_attention(c.attn_layer, mid, squeeze));
    act3 = add("act3", GammaAct(c));
    conv3 = add("conv3", conv(c, mid, p.out, 1, {.gain = c.skipinit ? 1.0 : 0.0}));
    if (!c.reg) attn_last = add("attn_last", channel_attention(c.attn_layer, p.out, squeeze));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor active = act1(x);
    Tensor y = active;
    for (const Ref<Module>& part : inner) y = part(y);
    if (attn) y = attn(y) * attn_gain;
    y = drop_path(attn_last(conv3(act3(y))));
    const double factor = attn_last ? attn_gain * alpha : alpha;
    y = skipinit_gain ? y * (skipinit_gain * factor) : y * factor;
    return y + (downsample ? downsample(active) : x);
  }
};

class NormFreeNet final : public Chained<HeadedModel> {
 public:
  NormFreeNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const int first = make_divisible((c.stem_chs ? c.stem_chs : c.channels[0]) * c.width_factor, c.ch_div);
    const int stride = add_stem(c, o.in_chans.value_or(3), first);
    int channels = add_stages(c, o, first, stride);
    if (c.num_features) {
      const int last = make_divisible(c.width_factor * c.num_features, c.ch_div);
      add("final_conv", conv(c, channels, last, 1));
      level("final_conv");
      channels = last;
    }
    add("final_act", GammaAct(c));
    stem("final_act");
    head(channels);
    first_values(c);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^stem"},
            {1, coarse ? "^stages.#" : "^stages.#.#"},
            {.group = 1, .pattern = "^final_conv", .joins_previous = true}};
  }

 private:
  // Returns its stride.
  int add_stem(const Cfg& c, int in, int out) {
    constexpr std::string_view kTypes[] = {"deep", "deep_tiered", "deep_quad", "3x3",
                                           "7x7",  "deep_pool",   "3x3_pool",  "7x7_pool"};
    if (std::ranges::find(kTypes, c.stem_type) == std::end(kTypes))
      throw Error(Error::Kind::argument, str_cat("no stem '", c.stem_type, "'"),
                  "there are 3x3, 7x7, deep, deep_tiered, deep_quad, 3x3_pool, 7x7_pool and deep_pool");
    Sequential s;
    std::vector<int> widths{out / 2, out / 2, out};
    const bool quad = c.stem_type == "deep_quad", pools = c.stem_type.ends_with("_pool");
    if (quad) widths = {out / 8, out / 4, out / 2, out};
    if (c.stem_type == "deep_tiered") widths[0] = 3 * out / 8;
    const size_t last = widths.size() - 1;
    int level = 0;
    if (!c.stem_type.starts_with("deep")) {
      s.add("conv", conv(c, in, out, c.stem_type.starts_with("3x3") ? 3 : 7, {.stride = 2}));
    } else {
      for (size_t i = 0; i <= last; ++i) {
        const int stride = i == 0 || (quad && i == last) ? 2 : 1;
        if (i + 1 == last) level = s.size();
        s.add(str_cat("conv", i + 1), conv(c, i == 0 ? in : widths[i - 1], widths[i], 3, {.stride = stride}));
        if (i != last) s.add(str_cat("act", i + 2), GammaAct(c));
      }
    }
    if (pools) s.add("pool", MaxPool2d(3, {.stride = 2, .padding = 1}));
    add("stem", std::move(s));
    parts("stem", {level});
    return quad || pools ? 4 : 2;
  }

  int add_stages(const Cfg& c, const ModelOptions& o, int channels, int stem_stride) {
    DropPathRamp drop_path(o, c.depths);
    Dilator strides{.reached = stem_stride, .limit = o.output_stride.value_or(32)};
    Sequential stages;
    double variance = 1;  // of what the next block is given
    for (size_t s = 0; s < 4; ++s) {
      const Dilator::Step step = strides.next(s == 0 && stem_stride > 2 ? 1 : 2);
      const int out = make_divisible(c.channels[s] * c.width_factor, c.ch_div);
      Sequential stage;
      for (int i = 0; i < c.depths[s]; ++i) {
        BlockOptions p{.in = channels,
                .out = out,
                .stride = 1,
                .first_dilation = step.dilation,
                .dilation = step.dilation,
                .beta = 1 / std::sqrt(variance),
                .bottle_ratio = c.bottle_ratio,
                .drop_path = drop_path.next()};
        if (i == 0) {
          p.stride = step.stride;
          p.first_dilation = step.dilation > 2 ? 2 : 1;
          if (c.reg && s == 0) p.bottle_ratio = 1;
        }
        stage.add(Block(c, p));
        variance = (i == 0 ? 1 : variance) + c.alpha * c.alpha;
        channels = out;
      }
      stages.add(std::move(stage));
    }
    add("stages", std::move(stages));
    std::vector<int> levels{0, 1, 2};
    if (!c.num_features) levels.push_back(3);
    parts("stages", levels);
    return channels;
  }

  void first_values(const Cfg& c) {
    const auto start = [](const Param& weight, const Param& bias) {
      weight.slot().init = init::normal(1 / std::sqrt(init::fans(weight->shape()).in));
      if (bias) bias.slot().init = init::zeros();
    };
    visit([&](const std::string&, Module& m) {
      if (auto* scaled = dynamic_cast<ScaledStdConv2d*>(&m)) start(scaled->weight, scaled->bias);
      else if (auto* plain = dynamic_cast<Conv2d*>(&m)) start(plain->weight, plain->bias);
    });
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) {
      fc->weight.slot().init = c.zero_init_fc ? init::zeros() : init::normal(0.01);
      fc->bias.slot().init = init::zeros();
    }
  }
};

#include "zoo/families/nfnet_variants.inc"

}  // namespace

FOVEA_FAMILY(nfnet, NormFreeNet, variants, .accepts = {.output_stride = true})
}  // namespace fovea::zoo::nfnet
