// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv_attrs.h — what modules that convolve share: a layer's options as the op takes them, weights of mean 0.
#pragma once
#include "engine/ops/ops.h"
#include "nn/layers/conv.h"

namespace fovea {

ConvOptions op_options(const Conv2dOptions& o, Size2 kernel);
/// Throws Error(argument) unless so many groups divide both.
void want_groups(int in, int out, int groups);
/// Each output's weights with mean 0 and variance 1, but for the epsilon.
Tensor standardized(const Tensor& weight, double eps);

}  // namespace fovea
