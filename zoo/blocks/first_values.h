// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/first_values.h — first values that families set for a whole network: He's for convolutions, silent
// residual branches.
#pragma once
#include "nn/module.h"

namespace fovea::zoo {

/// What the variance 2 / fan of a convolution's weight counts.
enum class Fan : uint8_t {
  in,
  out,                                             // of all groups together, as PyTorch counts
  group_out,                                       // of one group
};

/// Normal values for the weights of all convolutions below; https://arxiv.org/abs/1502.01852
void he_normal_convs(Module& model, Fan fan);
/// The biases of all convolutions and linear layers below start at zero.
void zero_biases(Module& model);
/// These values for the weights of all convolutions and linear layers below; their biases start at zero.
void start_weights(Module& model, const Init& values);
/// The same of linear layers alone.
void start_linear(Module& model, const Init& values);
/// Weight and bias of a linear layer or convolution start so much larger.
void scale_first_values(Module* layer, double factor);
/// The norm that ends a residual branch starts with a weight of zero: at first the block is its shortcut.
void zero_norm_weight(Module& norm);

}  // namespace fovea::zoo
