// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_blocks.h — the residual blocks of EfficientNet and MobileNet, made from decoded block
// strings.
#pragma once
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/layers.h"

namespace fovea::zoo {

/// One block as its string says: "ir_r2_k3_s2_e6_c24_se0.25".
struct BlockArgs {
  enum class Type : uint8_t {
    inverted,                                      // ir: expand, depthwise, project
    // ds, dsa: depthwise, project (dsa: with an activation behind, no skip)
    separable,
    edge,                                          // er: a whole convolution expands, a 1x1 projects
    conv,                                          // cn: one convolution
    // uir: expand and project, with depthwise convolutions in front (a), between (k) and behind (p); 0: none
    universal,
    attention, multi_query,                        // mha, mqa: attention between pixels
  } type = Type::inverted;
  std::vector<int> kernel{3}, expand_kernel{1}, project_kernel{1};     // several sizes: MixedConv2d
  int out = 0, stride = 1, repeats = 1;
  double expand = 1, se_ratio = 0;
  int experts = 0;                                 // CondConv
  int force_in = 0;                                // er: the expansion counts from this many channels
  // of the middle convolution; 0: one group. Default: depthwise, or one group for er and cn
  std::optional<int> group_size{};
  std::optional<Act> act{};
  bool skip = false, noskip = false, project_act = false;
  bool space_to_depth = false;
  int heads = 0, head_dim = 0, kv_stride = 1;      // mha, mqa
};

/// How a network writes squeeze-and-excitation.
struct SqueezeStyle {
  Act gate = act::sigmoid, act = act::none;        // act none: the block's
  int divisor = 0;                                 // of the reduced channels; 0: any number
  double round_limit = 0.9;
};

/// Where a block sits, and the style of the network around it.
struct BlockPlace {
  int in = 0, out = 0, stride = 1, dilation = 1;
  // 1: the block begins with folding 2x2 pixels into channels; 2: inside of such a region
  int space_to_depth = 0;
  double expand = 1, se_ratio = 0;                 // as adjusted by the builder
  int force_in = 0;
  double drop_path = 0;
  Padding padding{};
  Act act{};
  NormSpec norm{};
  std::string_view anti_alias{}, attention{};      // "" for attention: EfficientNet's SqueezeExcite
  SqueezeStyle squeeze{};
  double layer_scale = 0;                          // what the factors of uir, mha and mqa start as; 0: none
  bool tap = false;                                // offer the expansion: this block ends a feature level
};

std::unique_ptr<Module> efficientnet_block(const BlockArgs& a, const BlockPlace& p);

}  // namespace fovea::zoo
