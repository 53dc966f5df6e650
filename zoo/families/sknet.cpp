// SPDX-License-Identifier: Apache-2.0
// zoo/families/sknet.cpp — Selective Kernel ResNets: two sizes of kernels, weighed by attention; timm.models.sknet
#include "zoo/blocks/resnet.h"

namespace fovea::zoo::sknet {
namespace {

struct Cfg {
  ResNetCfg net{.zero_init_last = false};
  double rd_ratio = 1.0 / 16;  // of the attention
  int rd_divisor = 8;
  bool split_input = true;  // each kernel sees a half of the channels
};
SettingsRef settings_of(Cfg& c) {
  SettingsRef all = frame_settings(c.net);
  all.push_back(setting("block", c.net.block));
  all.push_back(setting("rd_ratio", c.rd_ratio));
  all.push_back(setting("rd_divisor", c.rd_divisor));
  all.push_back(setting("split_input", c.split_input));
  return all;
}

ConvNormActOptions options(const Cfg& c, const Act& act, const Conv2dOptions& conv = {}) {
  return {.conv = conv, .norm{.kind = c.net.norm}, .act = act, .anti_alias = c.net.anti_alias};
}

// Weights of the paths, one a channel, which add up to one.
struct SelectiveAttn final : Module {
  Ref<Module> fc_reduce, bn, fc_select;
  SelectiveAttn(const Cfg& c, int channels, int paths) {
    const int reduced = make_divisible(channels * c.rd_ratio, c.rd_divisor);
    fc_reduce = add("fc_reduce", Conv2d(channels, reduced, 1));
    bn = add("bn", BatchNorm2d(reduced, {}, act::relu));
    fc_select = add("fc_select", Conv2d(reduced, channels * paths, 1));
  }
  Tensors operator()(const Tensors& paths) {
    const Scope scope(name());
    Tensor sum = paths[0];
    for (size_t i = 1; i < paths.size(); ++i) sum = sum + paths[i];
    const Tensor scores = fc_select(bn(fc_reduce(mean(sum, {2, 3}, keep_dims))));
    const int64_t n = scores.dim(0), all = scores.dim(1), count = static_cast<int64_t>(paths.size());
    return chunk(reshape(softmax(reshape(scores, {n, count, -1}), 1), {n, all, 1, 1}), count, 1);
  }
};

// The larger kernel is a 3x3 with twice the dilation. https://arxiv.org/abs/1903.06586
struct SelectiveKernel final : Module {
  static constexpr int count = 2;
  Ref<Sequential> paths;
  Ref<SelectiveAttn> attn;
  bool split;
  SelectiveKernel(const Cfg& c, int in, int out, const Conv2dOptions& conv) : split(c.split_input) {
    Sequential list;
    for (int i = 1; i <= count; ++i) {
      Conv2dOptions o = conv;
      o.dilation = conv.dilation.h * i;
      o.groups = std::min(out, conv.groups);
      list.add(ConvNormAct(split ? in / count : in, out, 3, options(c, c.net.act, o)));
    }
    paths = add("paths", std::move(list));
    attn = add("attn", SelectiveAttn(c, out, count));
  }
  Tensor forward(const Tensor& x) override {
    Tensors values = split ? chunk(x, count, 1) : Tensors{x, x};
    {
      const Scope scope("paths");
      for (size_t i = 0; i < count; ++i) values[i] = (*paths->children()[i])(values[i]);
    }
    const Tensors weights = (*attn)(values);
    return values[0] * weights[0] + values[1] * weights[1];
  }
};

struct Basic final : Residual {
  Ref<Module> conv1, conv2;
  Basic(const Cfg& c, const ResNetPlace& p) {
    conv1 = add("conv1", SelectiveKernel(c, p.in, p.mid, {.stride = p.stride, .dilation = p.first_dilation}));
    const Ref<ConvNormAct> last =
        add("conv2", ConvNormAct(p.mid, p.out, 3, options(c, act::none, {.dilation = p.dilation})));
    conv2 = last;
    close(c.net, p, *last->bn, "act");
  }
  Tensor forward(const Tensor& x) override { return join(conv2(conv1(x)), x); }
};

struct Bottleneck final : Residual {
  Ref<Module> conv1, conv2, conv3;
  Bottleneck(const Cfg& c, const ResNetPlace& p) {
    conv1 = add("conv1", ConvNormAct(p.in, p.mid, 1, options(c, c.net.act)));
    const Conv2dOptions middle{.stride = p.stride, .dilation = p.first_dilation, .groups = c.net.cardinality};
    conv2 = add("conv2", SelectiveKernel(c, p.mid, p.width, middle));
    const Ref<ConvNormAct> last = add("conv3", ConvNormAct(p.width, p.out, 1, options(c, act::none)));
    conv3 = last;
    close(c.net, p, *last->bn, "act");
  }
  Tensor forward(const Tensor& x) override { return join(conv3(conv2(conv1(x))), x); }
};

struct Blocks final : ResNetBlocks {
  const Cfg& c;
  explicit Blocks(const Cfg& cfg) : c(cfg) {
    if (c.net.drop_block_rate > 0) throw Error(Error::Kind::unsupported, "SKNet's blocks have no DropBlock");
  }
  std::unique_ptr<Module> block(const ResNetPlace& p) const override {
    if (p.bottleneck) return std::make_unique<Bottleneck>(c, p);
    return std::make_unique<Basic>(c, p);
  }
};

struct SkNet final : ResNetFrame {
  SkNet(const Cfg& c, const ModelOptions& o) : ResNetFrame(c.net, o, Blocks(c)) {}
};

constexpr Cfg basic(std::array<int, 4> layers) {
  return {.net{.block = "basic", .layers = layers, .zero_init_last = false}, .rd_ratio = 1.0 / 8, .rd_divisor = 16};
}

constexpr Variant<Cfg> variants[] = {
    {"skresnet18", basic({2, 2, 2, 2})},
    {"skresnet34", basic({3, 4, 6, 3})},
    {"skresnet50", {}},
    {"skresnet50d", {.net{.stem_width = 32, .stem = ResNetStem::deep, .avg_down = true, .zero_init_last = false}}},
    {"skresnext50_32x4d",
     {.net{.cardinality = 32, .base_width = 4, .zero_init_last = false}, .rd_divisor = 32, .split_input = false}},
};

}  // namespace

FOVEA_FAMILY(sknet, SkNet, variants, .accepts = {.output_stride = true})
}  // namespace fovea::zoo::sknet
