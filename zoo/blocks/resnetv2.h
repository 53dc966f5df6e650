// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/resnetv2.h — ResNets whose norms stand in front of the convolutions, and their relatives that vision
// transformers begin with; https://arxiv.org/abs/1603.05027, https://arxiv.org/abs/1912.11370
#pragma once
#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/family.h"

namespace fovea::zoo {

// one 7x7 convolution, also with BiT's padding around the pooling, or TensorFlow's; three 3x3; three that widen
enum class ResNetV2Stem : uint8_t { conv7, fixed, same, deep, tiered };
std::string_view name_of(ResNetV2Stem s);

struct ResNetV2Cfg {
  std::array<int, 4> layers{3, 4, 6, 3}, channels{256, 512, 1024, 2048};  // the net ends in front of a 0
  int width_factor = 1, stem_chs = 64;
  ResNetV2Stem stem_type = ResNetV2Stem::conv7;
  bool avg_down = false;
  bool preact = true;  // else norms stand behind the convolutions
  bool basic = false;  // two 3x3 convolutions
  double bottle_ratio = 0.25;
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  double standardize = 0;  // of the weights of convolutions, but the classifier's
  Padding padding;         // of convolutions
  bool zero_init_last = false;
};
FOVEA_SETTINGS(ResNetV2Cfg, layers, channels, width_factor, stem_chs, stem_type, avg_down, preact, basic, bottle_ratio,
               act_layer, norm_layer, standardize, padding, zero_init_last)

/// What such nets begin with, the pooling included.
Sequential resnetv2_stem(const ResNetV2Cfg& c, int in);

class ResNetV2 final : public Chained<HeadedModel> {
 public:
  ResNetV2(const ResNetV2Cfg& c, const ModelOptions& o);
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "stages.3" ? norm_(tapped.value) : tapped.value;
  }

 private:
  int add_stages(const ResNetV2Cfg& c, const ModelOptions& o);
  Maybe<Module> norm_;
};

}  // namespace fovea::zoo
