// SPDX-License-Identifier: Apache-2.0
// zoo/activation_stats.h — what the values in a network look like, module by module: a health check of deep ones.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "zoo/image_model.h"

namespace fovea::zoo {

struct ActivationStats {
  std::string module;                              // "blocks.2.0.conv_dw"; "": the model itself
  std::string op;                                  // the last one within it
  Shape shape;
  double mean = 0, deviation = 0;                  // of those that are finite
  double largest = 0;                              // of their absolute values
  double zeros = 0;                                // the share of exact zeros
  int64_t not_finite = 0;                          // how many NaN and infinities
};

/// Of what the last op of each module gives, in the order in which modules first come, by running the model on the
/// images f32[N, C, H, W] op by op.
std::vector<ActivationStats> activation_stats(ImageModel& model, const Tensor& images);

}  // namespace fovea::zoo
