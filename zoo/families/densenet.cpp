// SPDX-License-Identifier: Apache-2.0
// zoo/families/densenet.cpp — DenseNet, also with blurred pooling and a deep stem; timm.models.densenet
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"
#include "zoo/family.h"

namespace fovea::zoo::densenet {
namespace {

// one 7x7 convolution; three 3x3 that widen in different ways
enum class Stem : uint8_t { conv7, deep, tiered, tiered_narrow };
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"conv7", "deep", "tiered", "tiered_narrow"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{6, 12, 24, 16};
  int growth = 32;                                 // channels that a layer adds
  int bottleneck = 4;                              // channels in the middle of a layer, in growths
  Stem stem = Stem::conv7;
  Act act = act::relu;
  NormSpec::Kind norm = NormSpec::Kind::batch;
  std::string_view anti_alias{};
  bool blur_transitions = false;                   // not the stem alone
  float drop = 0;                                  // of what a layer adds
};
FOVEA_SETTINGS(Cfg, depths, growth, bottleneck, stem, act, norm, anti_alias, blur_transitions, drop)

struct DenseLayer final : Module {
  Ref<Module> norm1, conv1, norm2, conv2, drop;
  DenseLayer(const Cfg& c, int in) {
    const int mid = c.bottleneck * c.growth;
    norm1 = add("norm1", norm_act2d({.kind = c.norm}, in, c.act));
    conv1 = add("conv1", Conv2d(in, mid, 1));
    norm2 = add("norm2", norm_act2d({.kind = c.norm}, mid, c.act));
    conv2 = add("conv2", Conv2d(mid, c.growth, 3));
    drop = add("drop", Dropout(static_cast<double>(c.drop)));
  }
  Tensor forward(const Tensor& x) override { return drop(conv2(norm2(conv1(norm1(x))))); }
};

struct DenseBlock final : Module {
  DenseBlock(const Cfg& c, int in, int depth) {
    for (int i = 0; i < depth; ++i) add(str_cat("denselayer", i + 1), DenseLayer(c, in + i * c.growth));
  }
  Tensor forward(const Tensor& x) override {
    Tensor all = x;
    for (const auto& layer : children()) all = cat({all, (*layer)(all)}, 1);
    return all;
  }
};

Sequential transition(const Cfg& c, int in) {
  Sequential s;
  s.add("norm", norm_act2d({.kind = c.norm}, in, c.act));
  s.add("conv", Conv2d(in, in / 2, 1));
  s.add("pool", anti_alias(c.blur_transitions && !c.anti_alias.empty() ? c.anti_alias : "avg", in / 2, 2));
  return s;
}

class DenseNet final : public ImageModel {
 public:
  DenseNet(const Cfg& c, const ModelOptions& o) : ImageModel(o) {
    int channels = 2 * c.growth;
    Sequential features;
    stem_end_ = add_stem(features, c, o.in_chans.value_or(3), channels);
    for (size_t i = 0; i < 4; ++i) {
      features.add(str_cat("denseblock", i + 1), DenseBlock(c, channels, c.depths[i]));
      channels += c.depths[i] * c.growth;
      if (i == 3) break;
      features.add(str_cat("transition", i + 1), transition(c, channels));
      channels /= 2;
    }
    features.add("norm5", norm_act2d({.kind = c.norm}, channels, c.act));
    features_ = add("features", std::move(features));
    classifier("classifier", channels);
    he_normal_convs(*this, Fan::in);
    zero_biases(*this);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = image;
    for (const auto& part : features_->children()) {
      {
        const Scope scope("features");
        x = run(*part, x);
      }
      const std::string& name = part->name();
      const bool level =
          name == stem_end_ || name == "norm5" || (name.starts_with("denseblock") && name != "denseblock4");
      if (level && tap(str_cat("features.", name), x)) break;
    }
    return x;
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    std::vector<LayerGroup> rows;
    for (const char* stem : {"^features.conv0", "^features.conv1", "^features.conv2", "^features.norm0",
                             "^features.norm1", "^features.norm2"})
      rows.push_back({.group = 0, .pattern = stem});
    rows.push_back({.group = 1, .pattern = coarse ? "^features.denseblock#" : "^features.denseblock#.denselayer#"});
    rows.push_back({.group = 1, .pattern = "^features.transition#", .joins_previous = !coarse});
    return rows;
  }

 private:
  // Returns the name of the norm that ends the stem.
  static std::string add_stem(Sequential& s, const Cfg& c, int in, int out) {
    std::vector<int> widths;
    const int quarter = c.growth / 4;
    if (c.stem == Stem::deep) widths = {c.growth, c.growth};
    else if (c.stem == Stem::tiered) widths = {3 * quarter, 6 * quarter};
    else if (c.stem == Stem::tiered_narrow) widths = {3 * quarter, out};
    widths.push_back(out);
    const int kernel = c.stem == Stem::conv7 ? 7 : 3;
    for (size_t i = 0; i < widths.size(); ++i) {
      s.add(str_cat("conv", i), Conv2d(in, widths[i], kernel, {.stride = i == 0 ? 2 : 1}));
      s.add(str_cat("norm", i), norm_act2d({.kind = c.norm}, widths[i], c.act));
      in = widths[i];
    }
    s.add("pool0", stem_pool(c.anti_alias, out));
    return str_cat("norm", widths.size() - 1);
  }

  Ref<Sequential> features_;
  std::string stem_end_;
};

// torchvision's older checkpoints have a dot too many.
constexpr Rename kDotted[] = {{"denselayer#.norm.#", "denselayer$1.norm$2"},
                              {"denselayer#.conv.#", "denselayer$1.conv$2"}};

constexpr Variant<Cfg> variants[] = {
    {"densenet121", {}},
    {"densenet161", {.depths{6, 12, 36, 24}, .growth = 48}},
    {"densenet169", {.depths{6, 12, 32, 32}}},
    {"densenet201", {.depths{6, 12, 48, 32}}},
    {"densenet264d", {.depths{6, 12, 64, 48}, .growth = 48, .stem = Stem::deep}},
    {"densenetblur121d", {.stem = Stem::deep, .anti_alias = "blur"}},
};

}  // namespace

FOVEA_FAMILY(densenet, DenseNet, variants, .accepts = {.drop_path_rate = false}, .renames = kDotted)
}  // namespace fovea::zoo::densenet
