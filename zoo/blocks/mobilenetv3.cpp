// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/mobilenetv3.cpp — MobileNetV3's trunk, and the head behind it.
#include "zoo/blocks/mobilenetv3.h"

namespace fovea::zoo {

MobileNetV3::MobileNetV3(const MobileNetV3Cfg& c, const ModelOptions& o) : ConvHeaded(o) {
  const ChannelRounding round{.multiplier = c.width, .limit = c.round_limit};
  const NormSpec norm{.eps = c.bn_eps};
  DepthScaling depth{.multiplier = c.depth, .group_size = {}};
  if (c.group_size >= 0) depth.group_size = c.group_size;
  const int features = trunk(o, {.channels = c.fix_stem ? c.stem : round(c.stem)}, decode_stages(c.arch, depth),
                             {.round = round,
                              .padding = c.padding,
                              .act = c.act,
                              .norm = norm,
                              .anti_alias = c.anti_alias,
                              .attention = {},
                              .se_from_expanded = c.squeeze_from_expanded,
                              .squeeze = {.gate = c.squeeze_gate,
                                          .act = c.squeeze_act,
                                          .divisor = c.squeeze_divisor,
                                          .round_limit = c.round_limit},
                              .layer_scale = c.layer_scale});

  ConvHeadOptions head{.hidden = c.features,
                       .conv{.padding = c.padding, .bias = c.head_bias && !c.head_norm},
                       .act = c.act,
                       .wide_pooling = true};
  if (c.head_norm) head.norm = norm;
  conv_head(features, head);
  init_like_tensorflow(*this);
}

}  // namespace fovea::zoo
