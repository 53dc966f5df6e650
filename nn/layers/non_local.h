// SPDX-License-Identifier: Apache-2.0
// nn/layers/non_local.h — modules in which each pixel sees the whole image, as an addition to convolutions.
#pragma once
#include "nn/layers/channel_attention.h"
#include "nn/module.h"

namespace fovea {

/// Attention of all pixels to each other in fewer channels, normed and added to x: https://arxiv.org/abs/1711.07971.
class NonLocalAttention final : public Module {
 public:
  /// Ratio 1/8, divisor 8; scores are divided by the root of `channels`.
  explicit NonLocalAttention(int channels, const SqueezeOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Conv2d> queries_, keys_, values_, out_;
  Ref<Module> norm_;
  double scale_;
};

/// Rows of blocks of the image are mixed with each other, and then columns, by weights that the image itself gives:
/// https://github.com/BA-Transform/BAT-Image-Classification
class BatNonLocalAttn final : public Module {
 public:
  explicit BatNonLocalAttn(int channels, const SqueezeOptions& o = {});  // ratio 1/4, divisor 8
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> conv1_, ba_, conv2_, dropout_;
};

}  // namespace fovea
