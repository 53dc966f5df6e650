// SPDX-License-Identifier: Apache-2.0
// nn/layers/line_attention.h — modules that weigh pixels by what their row and their column say: coordinate attention
// and relatives.
#pragma once
#include <optional>

#include "nn/layers/channel_attention.h"
#include "nn/layers/conv.h"
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea {

/// Means of rows and of columns are mixed in fewer channels, N,C,H,W: https://arxiv.org/abs/2103.02907, timm's
/// CoordAttn.
class CoordinateAttention final : public Module {
 public:
  /// Ratio 2/3 of 1/16, divisor 8; hard_swish. `skip`: x is added to what comes out.
  explicit CoordinateAttention(int channels, const SqueezeOptions& o = {}, bool skip = false);
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> conv1_, bn1_, conv_h_, conv_w_;
  Act gate_;
  bool skip_;
};

/// The same by linear layers without a norm, and with one gate for the sum of both: timm's SimpleCoordAttn.
class SimpleCoordinateAttention final : public Module {
 public:
  /// Ratio 2/3 of 1/4, divisor 8; silu.
  explicit SimpleCoordinateAttention(int channels, const SqueezeOptions& o = {}, bool skip = false);
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Linear> fc1_, fc_h_, fc_w_;
  Act act_, gate_;
  bool skip_;
};

struct LineOptions {
  int kernel = 0;                                  // along a line; 0: the module's default
  bool bias = false;
  std::optional<Act> act{};
  Act gate = act::sigmoid;
  bool norm = true;                                // EfficientLocalAttention: over all channels of a line
  bool convolve = true;                            // StripAttention: false leaves the means as they are
  bool skip = false;                               // x is added to what comes out
};

/// Means of rows and columns pass depthwise convolutions along the other direction, a norm and an activation:
/// https://arxiv.org/abs/2403.01123, timm's EfficientLocalAttn. Kernel 7; silu.
class EfficientLocalAttention final : public Module {
 public:
  explicit EfficientLocalAttention(int channels, const LineOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> conv_h_, conv_w_;
  Maybe<Module> norm_h_, norm_w_;
  Act act_, gate_;
  bool skip_;
};

/// The least of them: one gate for the sum of both means, convolved: timm's StripAttn. Kernel 3.
class StripAttention final : public Module {
 public:
  explicit StripAttention(int channels, const LineOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  Maybe<Module> conv_h_, conv_w_;
  Act gate_;
  bool skip_;
};

}  // namespace fovea
