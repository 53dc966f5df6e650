// SPDX-License-Identifier: Apache-2.0
// zoo/families/tresnet.cpp — TResNet: patches as the stem, blurred strides, leaky ReLU; timm.models.tresnet
#include <algorithm>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::tresnet {
namespace {

struct Cfg {
  std::array<int, 4> layers{3, 4, 11, 3};
  double width_factor = 1;
  bool v2 = false;  // bottlenecks in all stages
};
FOVEA_SETTINGS(Cfg, layers, width_factor, v2)

constexpr Act kLeaky{Unary::leaky_relu, 1e-3f};

// 4x4 pixels become channels: rows, columns, then the image's channels.
struct SpaceToDepth final : Module {
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
    if (h % 4 != 0 || w % 4 != 0)
      throw Error(Error::Kind::shape, str_cat("an image of ", h, " x ", w, " does not divide into patches of 4 x 4"),
                  current_scope());
    const Tensor y = permute(reshape(x, {n, c, h / 4, 4, w / 4, 4}), {0, 3, 5, 1, 2, 4});
    return reshape(y, {n, 16 * c, h / 4, w / 4});
  }
};

struct BlockOptions {
  int in, planes, stride;
  bool bottleneck, squeezes, shrinks;  // shrinks: with a shortcut of its own
  double drop_path;
  int out() const { return bottleneck ? 4 * planes : planes; }
};

ConvNormAct conv(int in, int out, int kernel, const Act& act, int stride = 1) {
  return {in, out, kernel, {.conv{.stride = stride}, .act = act, .anti_alias = "blur"}};
}

struct Block final : Module {
  Maybe<Module> downsample, se, conv3, drop_path;
  Ref<Module> conv1, conv2;
  bool bottleneck;
  explicit Block(const BlockOptions& p) : bottleneck(p.bottleneck) {
    if (p.shrinks) {
      Sequential fit;
      if (p.stride == 2) fit.add(shortcut_pool(2, 1));
      fit.add(conv(p.in, p.out(), 1, act::none));
      downsample = add("downsample", std::move(fit));
    }
    if (bottleneck) {
      conv1 = add("conv1", conv(p.in, p.planes, 1, kLeaky));
      conv2 = add("conv2", conv(p.planes, p.planes, 3, kLeaky, p.stride));
      if (p.squeezes) se = add("se", SEModule(p.planes, {.channels = std::max(p.out() / 8, 64)}));
      conv3 = silent(add("conv3", conv(p.planes, p.out(), 1, act::none)));
    } else {
      conv1 = add("conv1", conv(p.in, p.planes, 3, kLeaky, p.stride));
      conv2 = silent(add("conv2", conv(p.planes, p.planes, 3, act::none)));
      if (p.squeezes) se = add("se", SEModule(p.planes, {.channels = std::max(p.planes / 4, 64)}));
    }
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  static Ref<Module> silent(const Ref<ConvNormAct>& last) {
    zero_norm_weight(*last->bn);
    return last;
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv3(se(conv2(conv1(x))));
    return relu(drop_path(y) + downsample(x));
  }
};

class TResNet final : public Chained<HeadedModel> {
 public:
  TResNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    default_levels_ = 4;
    int planes = static_cast<int>(64 * c.width_factor);
    if (c.v2) planes = planes / 8 * 8;
    DropPathRamp drop_path(o, c.layers);
    Sequential body;
    body.add("s2d", SpaceToDepth());
    body.add("conv1", ConvNormAct(o.in_chans.value_or(3) * 16, planes, 3, {.act = act::leaky_relu}));
    int channels = planes;
    for (int s = 0; s < 4; ++s) {
      Sequential layer;
      for (int i = 0; i < c.layers[static_cast<size_t>(s)]; ++i) {
        BlockOptions p{.in = channels,
                .planes = planes << s,
                .stride = s > 0 && i == 0 ? 2 : 1,
                .bottleneck = c.v2 || s >= 2,
                .squeezes = s < 3,
                .shrinks = false,
                .drop_path = drop_path.next()};
        p.shrinks = i == 0 && (p.stride != 1 || p.in != p.out());
        layer.add(Block(p));
        channels = p.out();
      }
      body.add(str_cat("layer", s + 1), std::move(layer));
    }
    add("body", std::move(body));
    parts("body", {1, 2, 3, 4, 5});
    head(channels, "fast");
    he_normal_convs(*this, Fan::out);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->weight.slot().init = init::normal(0.01);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^body.conv1"}, {1, coarse ? "^body.layer#" : "^body.layer#.#"}};
  }
};

// Names of the original code; its norms' weights count without their sign.
constexpr Rename kOriginal[] = {{"conv#.0.0", "conv$1.conv"},
                                {"conv#.0.1", "conv$1.bn"},
                                {"conv#.0", "conv$1.conv"},
                                {"conv#.1", "conv$1.bn"},
                                {"downsample.#.0", "downsample.$1.conv"},
                                {"downsample.#.1", "downsample.$1.bn"}};

StateDict adapt(ImageModel&, StateDict weights) {
  if (weights.contains("body.conv1.conv.weight")) return weights;
  StateDict w = rename(weights, kOriginal);
  for (const std::string& name : w.names())
    if (name.ends_with("bn.weight")) w.set(name, abs(w.at(name)) + 1e-5);
  return w;
}

constexpr Variant<Cfg> variants[] = {
    {"tresnet_l", {.layers{4, 5, 18, 3}, .width_factor = 1.2}},
    {"tresnet_m", {}},
    {"tresnet_v2_l", {.layers{3, 4, 23, 3}, .width_factor = 1, .v2 = true}},
    {"tresnet_xl", {.layers{4, 5, 24, 3}, .width_factor = 1.3}},
};

}  // namespace

FOVEA_FAMILY(tresnet, TResNet, variants, .adapt = adapt)
}  // namespace fovea::zoo::tresnet
