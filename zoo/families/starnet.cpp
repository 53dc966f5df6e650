// SPDX-License-Identifier: Apache-2.0
// zoo/families/starnet.cpp — StarNet: two branches are multiplied: https://arxiv.org/abs/2403.19967;
// timm.models.starnet
#include "zoo/blocks/chained.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::starnet {
namespace {

struct Cfg {
  int base_dim = 32;
  std::array<int, 4> depths{3, 3, 12, 5};
  int mlp_ratio = 4;
  Act act_layer = act::relu6;
};
FOVEA_SETTINGS(Cfg, base_dim, depths, mlp_ratio, act_layer)

struct ConvBn final : Module {
  Ref<Module> conv;
  Maybe<Module> bn;
  ConvBn(int in, int out, int kernel, Conv2dOptions o = {}, bool normed = true) {
    o.bias = true;
    conv = add("conv", Conv2d(in, out, kernel, o));
    if (normed) bn = add("bn", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return bn(conv(x)); }
};

struct Block final : Module {
  Ref<Module> dwconv, f1, f2, g, dwconv2;
  Maybe<Module> drop_path;
  Act act;
  Block(const Cfg& c, int channels, double drop) : act(c.act_layer) {
    const int hidden = c.mlp_ratio * channels;
    const Conv2dOptions depthwise{.groups = channels};
    dwconv = add("dwconv", ConvBn(channels, channels, 7, depthwise));
    f1 = add("f1", ConvBn(channels, hidden, 1, {}, false));
    f2 = add("f2", ConvBn(channels, hidden, 1, {}, false));
    g = add("g", ConvBn(hidden, channels, 1));
    dwconv2 = add("dwconv2", ConvBn(channels, channels, 7, depthwise, false));
    if (drop > 0) drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = dwconv(x);
    return x + drop_path(dwconv2(g(activate(f1(y), act) * f2(y))));
  }
};

class StarNet final : public Chained<ImageModel> {
 public:
  StarNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    int channels = 32;
    Sequential first, stages;
    first.add(ConvBn(o.in_chans.value_or(3), channels, 3, {.stride = 2, .padding = 1}));
    first.add(Activation(c.act_layer));
    add("stem", std::move(first));
    stem("stem");
    DropPathRamp drop_path(o, c.depths);
    for (size_t s = 0; s < 4; ++s) {
      Sequential stage;
      const int out = c.base_dim << s;
      stage.add(ConvBn(channels, out, 3, {.stride = 2, .padding = 1}));
      for (int i = 0; i < c.depths[s]; ++i) stage.add(Block(c, out, drop_path.next()));
      stages.add(std::move(stage));
      channels = out;
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    norm_ = add("norm", BatchNorm2d(channels));
    stem("norm");
    classifier("head", channels);
    visit([](const std::string&, Module& m) {
      if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->weight.slot().init = init::trunc_normal(0.02);
    });
    if (auto* head = dynamic_cast<Linear*>(find("head"))) {
      head->weight.slot().init = init::trunc_normal(0.02);
      head->bias.slot().init = init::zeros();
    }
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{.group = 0, .pattern = "^stem.#."},
            {1, coarse ? "^stages.#" : "^stages.#.#"},
            {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "stages.3" ? norm_(tapped.value) : tapped.value;
  }

 private:
  Ref<Module> norm_;
};

constexpr Variant<Cfg> variants[] = {
    {"starnet_s050", {.base_dim = 16, .depths{1, 1, 3, 1}, .mlp_ratio = 3}},
    {"starnet_s1", {.base_dim = 24, .depths{2, 2, 8, 3}}},
    {"starnet_s100", {.base_dim = 20, .depths{1, 2, 4, 1}}},
    {"starnet_s150", {.base_dim = 24, .depths{1, 2, 4, 2}, .mlp_ratio = 3}},
    {"starnet_s2", {.depths{1, 2, 6, 2}}},
    {"starnet_s3", {.depths{2, 2, 8, 4}}},
    {"starnet_s4", {}},
};

}  // namespace

FOVEA_FAMILY(starnet, StarNet, variants)
}  // namespace fovea::zoo::starnet
