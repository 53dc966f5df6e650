// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/mobilenetv3.h — the MobileNetV3 that several families are variants of: EfficientNet's stages and a last
// convolution behind the pooling; https://arxiv.org/abs/1905.02244, https://arxiv.org/abs/2404.10518.
#pragma once
#include <string_view>

#include "zoo/blocks/conv_headed.h"
#include "zoo/blocks/efficientnet_trunk.h"
#include "zoo/family.h"

namespace fovea::zoo {

struct MobileNetV3Cfg {
  std::string_view arch{};  // block strings: stages between spaces, parts of a stage between '+'
  double width = 1, depth = 1, round_limit = 0.9;
  int group_size = -1;                       // -1: depthwise, as the blocks say
  int features = 1280;                       // of the convolution behind the pooling
  bool head_bias = true, head_norm = false;  // of that convolution; with a norm there is no bias
  int stem = 16;
  bool fix_stem = false;  // the stem does not scale
  Padding padding{};
  Act act = act::hard_swish;
  double bn_eps = 0;  // 0: the norm's default
  std::string_view anti_alias{};
  Act squeeze_gate = act::hard_sigmoid, squeeze_act = act::none;  // squeeze_act none: the block's
  int squeeze_divisor = 0;                                        // of squeezed channels; 0: any number
  bool squeeze_from_expanded = true;                              // squeeze ratios count from the expanded channels
  double layer_scale = 0;  // what the factors of MobileNetV4's blocks start as; 0: none
};
FOVEA_SETTINGS(MobileNetV3Cfg, arch, width, depth, round_limit, group_size, features, head_bias, head_norm, stem,
               fix_stem, padding, act, bn_eps, anti_alias, squeeze_gate, squeeze_act, squeeze_divisor,
               squeeze_from_expanded, layer_scale)

class MobileNetV3 final : public ConvHeaded<EfficientNetTrunk> {
 public:
  MobileNetV3(const MobileNetV3Cfg& c, const ModelOptions& o);
  Tensor forward_features(const Tensor& image) override { return run_trunk(image).x; }
};

}  // namespace fovea::zoo
