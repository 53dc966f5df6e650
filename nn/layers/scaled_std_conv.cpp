// SPDX-License-Identifier: Apache-2.0
// nn/layers/scaled_std_conv.cpp — convolutions with scaled weights.
#include "nn/layers/scaled_std_conv.h"

#include <cmath>

#include "nn/layers/conv_attrs.h"

namespace fovea {

ScaledStdConv2d::ScaledStdConv2d(int in, int out, Size2 kernel, const ScaledStdConvOptions& o)
    : kernel_(kernel), options_(o) {
  want_groups(in, out, o.conv.groups);
  const int fan_in = in / o.conv.groups * kernel.h * kernel.w;
  options_.gamma /= std::sqrt(static_cast<double>(fan_in));
  weight = param("weight", {out, in / o.conv.groups, kernel.h, kernel.w}, init::torch_default(fan_in));
  if (o.conv.bias) bias = param("bias", {out}, init::torch_default(fan_in));
  gain = param("gain", {out, 1, 1, 1}, init::constant(o.gain));
}

Tensor ScaledStdConv2d::forward(const Tensor& x) {
  const Tensor w = standardized(weight, options_.eps) * (gain * options_.gamma);
  return conv(x, w, bias, op_options(options_.conv, kernel_));
}

}  // namespace fovea
