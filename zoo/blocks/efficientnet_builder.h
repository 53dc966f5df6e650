// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_builder.h — timm's block strings become stages: decoding, scaling depth and width, strides
// and dilation.
#pragma once
#include <string_view>
#include <vector>

#include "zoo/blocks/efficientnet_blocks.h"

namespace fovea::zoo {

struct ChannelRounding {
  double multiplier = 1;                           // 0: leave the numbers alone
  int divisor = 8;
  double limit = 0.9;                              // rounding down keeps at least this share
  int operator()(int channels) const;
};

struct DepthScaling {
  double multiplier = 1;
  double late_multiplier = 0;                      // of the last two stages; 0: the same
  bool round = false;                              // to the nearest depth instead of up
  bool fix_first_last = false;                     // the first and the last stage keep their depth
  int experts = 1;                                 // multiplies the number of experts
  std::optional<int> group_size{};                 // for blocks whose string gives none
};

using StageArgs = std::vector<BlockArgs>;
/// Stages separated by spaces, the parts of a stage by '+'. Throws Error(argument) that quotes the part that is wrong.
std::vector<StageArgs> decode_stages(std::string_view arch, const DepthScaling& scaling = {});

struct StageStyle {
  ChannelRounding round{};
  int output_stride = 32;
  Padding padding{};
  Act act{};
  NormSpec norm{};
  std::string_view anti_alias{}, attention{};
  double drop_path_rate = 0;
  bool se_from_expanded = false;                   // squeeze ratios count from the expanded channels (MobileNetV3)
  SqueezeStyle squeeze{};
  double layer_scale = 0;                          // what the factors of MobileNetV4's blocks start as; 0: none
};

struct Stages {
  Sequential blocks;                               // one Sequential a stage
  std::vector<bool> taps;                          // the stem and then each stage: does it end a feature level?
  int out = 0;
};
Stages build_stages(int in, std::vector<StageArgs> stages, const StageStyle& style);

/// TensorFlow's first values, as timm draws them for these networks.
void init_like_tensorflow(Module& model);

}  // namespace fovea::zoo
