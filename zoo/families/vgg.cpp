// SPDX-License-Identifier: Apache-2.0
// zoo/families/vgg.cpp — VGG: 3x3 convolutions and wide layers behind them; timm.models.vgg
#include <algorithm>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/family.h"

namespace fovea::zoo::vgg {
namespace {

struct Cfg {
  std::array<int, 5> depths{1, 1, 2, 2, 2};  // convolutions in front of each pooling
  bool batch_norm = false;
  double mlp_ratio = 1;  // of the first wide layer to the second
  Act act_layer = act::relu;
};
FOVEA_SETTINGS(Cfg, depths, batch_norm, mlp_ratio, act_layer)

// The wide layers, as convolutions over maps of at least 7x7.
struct PreLogits final : Module {
  static constexpr int kernel = 7;
  Ref<Module> fc1, act1, drop, fc2, act2;
  PreLogits(const Cfg& c, int in, int out, double drop_rate) {
    const int mid = static_cast<int>(out * c.mlp_ratio);
    const Conv2dOptions o{.padding = Padding::Kind::valid, .bias = true};
    fc1 = add("fc1", Conv2d(in, mid, kernel, o));
    act1 = add("act1", Activation(c.act_layer));
    drop = add("drop", Dropout(drop_rate));
    fc2 = add("fc2", Conv2d(mid, out, 1, o));
    act2 = add("act2", Activation(c.act_layer));
  }
  Tensor forward(const Tensor& x) override {
    const int64_t h = x.dim(2), w = x.dim(3);
    const bool small = h < kernel || w < kernel;
    const Tensor map = small ? adaptive_avg_pool(x, {std::max<int64_t>(kernel, h), std::max<int64_t>(kernel, w)}) : x;
    return act2(fc2(drop(act1(fc1(map)))));
  }
};

class Vgg final : public Chained<HeadedModel> {
 public:
  Vgg(const Cfg& c, const ModelOptions& o) : Chained(o) {
    constexpr std::array widths{64, 128, 256, 512, 512};
    constexpr int wide = 4096;
    Sequential features;
    std::vector<int> ends;
    int channels = o.in_chans.value_or(3);
    for (size_t s = 0; s < widths.size(); ++s) {
      for (int i = 0; i < c.depths[s]; ++i) {
        features.add(Conv2d(channels, widths[s], 3, {.bias = true}));
        if (c.batch_norm) features.add(BatchNorm2d(widths[s]));
        features.add(Activation(c.act_layer));
        channels = widths[s];
      }
      ends.push_back(features.size() - 1);
      features.add(MaxPool2d(2));
    }
    ends.push_back(features.size() - 1);
    add("features", std::move(features));
    parts("features", ends);
    pre_logits_ = add("pre_logits", PreLogits(c, channels, wide, static_cast<double>(drop_rate_)));
    head(wide);
    num_features_ = channels;
    he_normal_convs(*this, Fan::out);
    zero_biases(*this);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->weight.slot().init = init::normal(0.01);
  }

  Tensor forward_head(const Tensor& features, bool pre_logits) override {
    return HeadedModel::forward_head(pre_logits_(features), pre_logits);
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^features.0"}, {1, "^features.#"}}; }

 protected:
  void drop_head() override {
    pre_logits_->vacate();
    HeadedModel::drop_head();
  }

 private:
  Ref<Module> pre_logits_;
};

// torchvision's names; its wide layers are linear.
constexpr Rename kTorchvision[] = {
    {"^classifier.0", "pre_logits.fc1"}, {"^classifier.3", "pre_logits.fc2"}, {"^classifier.6", "head.fc"}};

StateDict adapt(ImageModel&, StateDict weights) {
  for (const auto& [name, size] : {std::pair{"pre_logits.fc1.weight", 7}, {"pre_logits.fc2.weight", 1}})
    if (const Tensor* t = weights.find(name); t && t->rank() == 2 && t->dim(1) % (size * size) == 0)
      weights.set(name, reshape(*t, {t->dim(0), -1, size, size}));
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"vgg11", {}},
    {"vgg11_bn", {.batch_norm = true}},
    {"vgg13", {.depths{2, 2, 2, 2, 2}}},
    {"vgg13_bn", {.depths{2, 2, 2, 2, 2}, .batch_norm = true}},
    {"vgg16", {.depths{2, 2, 3, 3, 3}}},
    {"vgg16_bn", {.depths{2, 2, 3, 3, 3}, .batch_norm = true}},
    {"vgg19", {.depths{2, 2, 4, 4, 4}}},
    {"vgg19_bn", {.depths{2, 2, 4, 4, 4}, .batch_norm = true}},
};

}  // namespace

FOVEA_FAMILY(vgg, Vgg, variants, .accepts = {.drop_path_rate = false}, .renames = kTorchvision, .adapt = adapt)
}  // namespace fovea::zoo::vgg
