// SPDX-License-Identifier: Apache-2.0
// zoo/families/res2net.cpp — Res2Net and Res2NeXt: bottlenecks of several scales; timm.models.res2net
#include "zoo/blocks/res2.h"
#include "zoo/blocks/resnet.h"

namespace fovea::zoo::res2net {
namespace {

struct Cfg {
  ResNetCfg net;
  int scale = 4;  // groups of channels in the middle
};
SettingsRef settings_of(Cfg& c) {
  SettingsRef all = frame_settings(c.net);
  all.push_back(setting("scale", c.scale));
  return all;
}

struct Bottle2neck final : Residual {
  Ref<Module> conv1, bn1, conv3, bn3;
  Ref<Sequential> convs, bns;
  Maybe<Module> pool;
  Bottle2neck(const Cfg& c, const ResNetPlace& p) {
    if (c.scale < 1) throw Error(Error::Kind::argument, str_cat("scale is ", c.scale));
    const NormSpec norm{.kind = c.net.norm};
    conv1 = add("conv1", Conv2d(p.in, p.width * c.scale, 1));
    bn1 = add("bn1", norm_act2d(norm, p.width * c.scale, c.net.act));
    const Conv2dOptions middle{.stride = p.stride, .dilation = p.first_dilation, .groups = c.net.cardinality};
    Res2Lists lists = res2_lists(p.width, c.scale, middle, norm, c.net.act);
    convs = add("convs", std::move(lists.convs));
    bns = add("bns", std::move(lists.bns));
    if (p.stride > 1 || p.in != p.out) pool = add("pool", AvgPool2d(3, {.stride = p.stride, .padding = 1}));
    conv3 = add("conv3", Conv2d(p.width * c.scale, p.out, 1));
    bn3 = add("bn3", norm2d(norm, p.out));
    close(c.net, p, *bn3, "relu");
  }
  Tensor forward(const Tensor& x) override {
    return join(bn3(conv3(drop_block(res2(bn1(conv1(x)), *convs, *bns, pool)))), x);
  }
};

struct Blocks final : ResNetBlocks {
  const Cfg& c;
  explicit Blocks(const Cfg& cfg) : c(cfg) {}
  std::unique_ptr<Module> block(const ResNetPlace& p) const override { return std::make_unique<Bottle2neck>(c, p); }
};

struct Res2Net final : ResNetFrame {
  Res2Net(const Cfg& c, const ModelOptions& o) : ResNetFrame(c.net, o, Blocks(c)) {}
};

constexpr Cfg of(int base_width, int scale, int cardinality = 1) {
  return {.net{.cardinality = cardinality, .base_width = base_width}, .scale = scale};
}
constexpr Cfg deep(Cfg c) { return c.net.layers = {3, 4, 23, 3}, c; }  // 101 layers
constexpr Cfg d(Cfg c) { return c.net.stem = ResNetStem::deep, c.net.stem_width = 32, c.net.avg_down = true, c; }

constexpr Variant<Cfg> variants[] = {
    {"res2net101_26w_4s", deep(of(26, 4))}, {"res2net101d", d(deep(of(26, 4)))}, {"res2net50_14w_8s", of(14, 8)},
    {"res2net50_26w_4s", of(26, 4)},        {"res2net50_26w_6s", of(26, 6)},     {"res2net50_26w_8s", of(26, 8)},
    {"res2net50_48w_2s", of(48, 2)},        {"res2net50d", d(of(26, 4))},        {"res2next50", of(4, 4, 8)},
};

}  // namespace

FOVEA_FAMILY(res2net, Res2Net, variants, .accepts = {.output_stride = true})
}  // namespace fovea::zoo::res2net
