// SPDX-License-Identifier: Apache-2.0
// nn/layers/layer_scale.h — LayerScale: a learned factor for each channel of a residual branch.
#pragma once
#include "nn/module.h"

namespace fovea {

/// https://arxiv.org/abs/2103.17239
class LayerScale final : public Module {
 public:
  /// Channels are the last dimension, or dimension 1 of N,C,H,W.
  explicit LayerScale(int channels, double start = 1e-5, bool channels_first = false);
  Tensor forward(const Tensor& x) override;
  Param gamma;

 private:
  bool channels_first_;
};

}  // namespace fovea
