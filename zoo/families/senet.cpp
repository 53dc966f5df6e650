// SPDX-License-Identifier: Apache-2.0
// zoo/families/senet.cpp — the first SE-ResNets, SE-ResNeXts and SENet-154, as Caffe had them; timm.models.senet
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/family.h"

namespace fovea::zoo::senet {
namespace {

// two 3x3; bottlenecks with the stride first, in the middle, or of twice the width
enum class BlockKind : uint8_t { basic, resnet, resnext, senet };
constexpr std::string_view name_of(BlockKind k) {
  constexpr std::string_view names[] = {"basic", "resnet", "resnext", "senet"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

struct Cfg {
  BlockKind block = BlockKind::resnet;
  std::array<int, 4> layers{3, 4, 6, 3};
  int groups = 1, reduction = 16;
  int inplanes = 64;               // channels of the stem
  bool input_3x3 = false;          // three 3x3 in the stem
  int downsample_kernel_size = 1;  // of shortcuts behind the first stage
};
FOVEA_SETTINGS(Cfg, block, layers, groups, reduction, inplanes, input_3x3, downsample_kernel_size)

struct BlockOptions {
  int in, planes, stride, downsample_kernel;
  bool first;
};

// Convolutions with norms of these widths and a gate. The last norm has no activation, but of basic blocks.
struct Block final : Module {
  std::vector<Ref<Module>> chain;
  Ref<Module> se_module;
  Maybe<Module> downsample;
  int out;
  Block(const Cfg& c, const BlockOptions& p) : out(c.block == BlockKind::basic ? p.planes : 4 * p.planes) {
    const Conv2dOptions grouped{.groups = c.groups}, strided{.stride = p.stride};
    const Conv2dOptions both{.stride = p.stride, .groups = c.groups};
    int in = p.in;
    const auto layer = [&](int width, int kernel, const Conv2dOptions& o, const Act& act = act::relu) {
      const size_t n = chain.size() / 2 + 1;
      chain.push_back(add(str_cat("conv", n), Conv2d(in, width, kernel, o)));
      chain.push_back(add(str_cat("bn", n), BatchNorm2d(width, {}, act)));
      in = width;
    };
    switch (c.block) {
      case BlockKind::basic: layer(p.planes, 3, strided), layer(p.planes, 3, grouped); break;
      case BlockKind::resnet: layer(p.planes, 1, strided), layer(p.planes, 3, grouped); break;
      case BlockKind::resnext: layer(p.planes * 4 / 64 * c.groups, 1, {}), layer(in, 3, both); break;
      case BlockKind::senet: layer(2 * p.planes, 1, {}), layer(4 * p.planes, 3, both); break;
    }
    if (c.block != BlockKind::basic) layer(out, 1, {}, act::none);
    se_module = add("se_module", SEModule(out, {.channels = out / c.reduction}));
    if (p.first && (p.stride != 1 || p.in != out)) {
      Sequential fit;
      fit.add(Conv2d(p.in, out, p.downsample_kernel, {.stride = p.stride}));
      fit.add(BatchNorm2d(out));
      downsample = add("downsample", std::move(fit));
    }
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const Ref<Module>& part : chain) y = part(y);
    return relu(se_module(y) + downsample(x));
  }
};

class SeNet final : public Chained<ImageModel> {
 public:
  SeNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    drop_rate_ = o.drop_rate.value_or(0.2f);
    Sequential layer0;
    int channels = o.in_chans.value_or(3);
    const auto conv = [&](int i, int width, int kernel, int stride) {
      layer0.add(str_cat("conv", i), Conv2d(channels, width, kernel, {.stride = stride}));
      layer0.add(str_cat("bn", i), BatchNorm2d(width));
      layer0.add(str_cat("relu", i), Activation(act::relu));
      channels = width;
    };
    if (c.input_3x3) conv(1, 64, 3, 2), conv(2, 64, 3, 1), conv(3, c.inplanes, 3, 1);
    else conv(1, c.inplanes, 7, 2);
    add("layer0", std::move(layer0));
    add("pool0", MaxPool2d(3, {.stride = 2, .padding = 0, .ceil_mode = true}));
    stem("layer0", Level::yes);
    stem("pool0");
    for (int s = 1; s <= 4; ++s) {
      Sequential layer;
      for (int i = 0; i < c.layers[static_cast<size_t>(s - 1)]; ++i) {
        const BlockOptions p{.in = channels,
                      .planes = 32 << s,
                      .stride = s > 1 && i == 0 ? 2 : 1,
                      .downsample_kernel = s > 1 ? c.downsample_kernel_size : 1,
                      .first = i == 0};
        channels = layer.add(Block(c, p))->out;
      }
      add(str_cat("layer", s), std::move(layer));
      level(str_cat("layer", s));
    }
    classifier("last_linear", channels);
    he_normal_convs(*this, Fan::out);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^layer0"}, {1, coarse ? "^layer#" : "^layer#.#"}};
  }
};

constexpr std::array<int, 4> k18{2, 2, 2, 2}, k101{3, 4, 23, 3}, k152{3, 8, 36, 3};

constexpr Variant<Cfg> variants[] = {
    {"legacy_senet154",
     {.block = BlockKind::senet,
      .layers = k152,
      .groups = 64,
      .inplanes = 128,
      .input_3x3 = true,
      .downsample_kernel_size = 3}},
    {"legacy_seresnet101", {.layers = k101}},
    {"legacy_seresnet152", {.layers = k152}},
    {"legacy_seresnet18", {.block = BlockKind::basic, .layers = k18}},
    {"legacy_seresnet34", {.block = BlockKind::basic}},
    {"legacy_seresnet50", {}},
    {"legacy_seresnext101_32x4d", {.block = BlockKind::resnext, .layers = k101, .groups = 32}},
    {"legacy_seresnext26_32x4d", {.block = BlockKind::resnext, .layers = k18, .groups = 32}},
    {"legacy_seresnext50_32x4d", {.block = BlockKind::resnext, .groups = 32}},
};

}  // namespace

FOVEA_FAMILY(senet, SeNet, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::senet
