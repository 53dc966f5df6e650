// SPDX-License-Identifier: Apache-2.0
// nn/layers/scaled_std_conv.h — ScaledStdConv2d: a convolution whose weights keep the variance of what it is given, for
// networks without norms; https://arxiv.org/abs/2101.08692
#pragma once
#include "nn/layers/conv.h"

namespace fovea {

struct ScaledStdConvOptions {
  Conv2dOptions conv{.bias = true};
  double gamma = 1;                                // what the activation in front takes of the deviation
  double eps = 1e-6;
  double gain = 1;                                 // what the learned gain of each channel starts as
};

/// Each output's weights have mean 0 and variance 1, times gain * gamma / sqrt(fan in).
class ScaledStdConv2d final : public Module {
 public:
  ScaledStdConv2d(int in, int out, Size2 kernel, const ScaledStdConvOptions& o = {});
  Tensor forward(const Tensor& x) override;

  Param weight, bias, gain;                        // [out, in / groups, kh, kw]; [out]; [out, 1, 1, 1]

 private:
  Size2 kernel_;
  ScaledStdConvOptions options_;
};

}  // namespace fovea
