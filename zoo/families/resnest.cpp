// SPDX-License-Identifier: Apache-2.0
// zoo/families/resnest.cpp — ResNeSt: convolutions split into paths that attention weighs; timm.models.resnest
#include "zoo/blocks/resnet.h"

namespace fovea::zoo::resnest {
namespace {

struct Cfg {
  ResNetCfg net{.stem_width = 32, .stem = ResNetStem::deep, .avg_down = true};
  int radix = 2;           // paths
  bool avd_first = false;  // blocks with a stride pool in front of the paths, not behind them
};
SettingsRef settings_of(Cfg& c) {
  SettingsRef all = frame_settings(c.net);
  all.push_back(setting("radix", c.radix));
  all.push_back(setting("avd_first", c.avd_first));
  return all;
}

// https://arxiv.org/abs/2004.08955; with one path, a gate.
struct SplitAttn final : Module {
  Ref<Module> conv, bn0, act0, fc1, bn1, act1, fc2;
  Maybe<Module> drop;
  int radix, groups;
  SplitAttn(const Cfg& c, const ResNetPlace& p) : radix(c.radix), groups(c.net.cardinality) {
    const NormSpec norm{.kind = c.net.norm};
    const int all = p.width * radix, squeezed = make_divisible(all / 4.0, 8, 32);
    conv = add("conv", Conv2d(p.width, all, 3, {.dilation = p.first_dilation, .groups = groups * radix}));
    bn0 = add("bn0", norm2d(norm, all));
    if (p.drop_block.rate > 0) drop = add("drop", DropBlock2d(p.drop_block));
    act0 = add("act0", Activation(act::relu));
    fc1 = add("fc1", Conv2d(p.width, squeezed, 1, {.groups = groups, .bias = true}));
    bn1 = add("bn1", norm2d(norm, squeezed));
    act1 = add("act1", Activation(act::relu));
    fc2 = add("fc2", Conv2d(squeezed, all, 1, {.groups = groups, .bias = true}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensors paths = chunk(act0(drop(bn0(conv(x)))), radix, 1);
    Tensor sum = paths[0];
    for (size_t i = 1; i < paths.size(); ++i) sum = sum + paths[i];
    const Tensors weights = chunk(weigh(fc2(act1(bn1(fc1(mean(sum, {2, 3}, keep_dims)))))), radix, 1);
    Tensor y = paths[0] * weights[0];
    for (size_t i = 1; i < paths.size(); ++i) y = y + paths[i] * weights[i];
    return y;
  }
  // Groups hold paths; what comes out are paths that hold groups.
  Tensor weigh(const Tensor& x) const {
    if (radix == 1) return sigmoid(x);
    const int64_t n = x.dim(0), all = x.dim(1);
    const Tensor by_path = permute(reshape(x, {n, groups, radix, -1}), {0, 2, 1, 3});
    return reshape(softmax(by_path, 1), {n, all, 1, 1});
  }
};

struct Bottleneck final : Residual {
  Ref<Module> conv1, bn1, act1, conv2, conv3, bn3;
  Maybe<Module> avd_first, avd_last;
  Bottleneck(const Cfg& c, const ResNetPlace& p) {
    const NormSpec norm{.kind = c.net.norm};
    conv1 = add("conv1", Conv2d(p.in, p.width, 1));
    bn1 = add("bn1", norm2d(norm, p.width));
    act1 = add("act1", Activation(c.net.act));
    if (p.stride > 1 && c.avd_first) avd_first = add("avd_first", AvgPool2d(3, {.stride = p.stride, .padding = 1}));
    conv2 = add("conv2", SplitAttn(c, p));
    if (p.stride > 1 && !c.avd_first) avd_last = add("avd_last", AvgPool2d(3, {.stride = p.stride, .padding = 1}));
    conv3 = add("conv3", Conv2d(p.width, p.out, 1));
    bn3 = add("bn3", norm2d(norm, p.out));
    close(c.net, p, *bn3, "act3");
  }
  // timm drops the path in front of the shortcut's convolution, not the block's.
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn3(conv3(avd_last(conv2(avd_first(act1(bn1(conv1(x))))))));
    return last_act(y + (downsample ? downsample(drop_path(x)) : x));
  }
};

void check(const Cfg& c) {
  if (c.radix < 1) throw Error(Error::Kind::argument, str_cat("radix is ", c.radix));
  if (c.net.reduce_first != 1 || !c.net.attention.empty() || !c.net.anti_alias.empty())
    throw Error(Error::Kind::unsupported, "ResNeSt's blocks know neither reduce_first nor attention nor anti_alias");
}

struct Blocks final : ResNetBlocks {
  const Cfg& c;
  explicit Blocks(const Cfg& cfg) : c(cfg) { check(c); }
  std::unique_ptr<Module> block(const ResNetPlace& p) const override { return std::make_unique<Bottleneck>(c, p); }
};

struct ResNeSt final : ResNetFrame {
  ResNeSt(const Cfg& c, const ModelOptions& o) : ResNetFrame(c.net, o, Blocks(c)) {}
};

constexpr Cfg of(std::array<int, 4> layers, int stem_width = 32) {
  Cfg c;
  c.net.layers = layers;
  c.net.stem_width = stem_width;
  return c;
}
// Paths, groups and their width, as the names count them.
constexpr Cfg split(int radix, int cardinality, int base_width) {
  Cfg c;
  c.net.cardinality = cardinality;
  c.net.base_width = base_width;
  c.radix = radix;
  c.avd_first = true;
  return c;
}

constexpr Variant<Cfg> variants[] = {
    {"resnest101e", of({3, 4, 23, 3}, 64)},  {"resnest14d", of({1, 1, 1, 1})},
    {"resnest200e", of({3, 24, 36, 3}, 64)}, {"resnest269e", of({3, 30, 48, 8}, 64)},
    {"resnest26d", of({2, 2, 2, 2})},        {"resnest50d", {}},
    {"resnest50d_1s4x24d", split(1, 4, 24)}, {"resnest50d_4s2x40d", split(4, 2, 40)},
};

}  // namespace

FOVEA_FAMILY(resnest, ResNeSt, variants, .accepts = {.output_stride = true})
}  // namespace fovea::zoo::resnest
