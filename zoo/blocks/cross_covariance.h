// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/cross_covariance.h — what XCiT brought and others took up: attention between channels, and positions as
// sines.
#pragma once
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"

namespace fovea {
class Conv2d;
}

namespace fovea::zoo {

/// Sines and cosines of both coordinates, of more and more wavelengths, and a layer that makes channels of them.
class PositionalEncodingFourier final : public Module {
 public:
  explicit PositionalEncodingFourier(int dim);
  Tensor operator()(int height, int width);  // [1, dim, height, width]

 private:
  Ref<Conv2d> token_projection_;
};

struct CrossCovarianceOptions {
  int heads = 8;
  bool qkv_bias = false;
  double attn_drop = 0, proj_drop = 0;
};
/// Attention over tokens [N, L, C] that takes the channels of a head for its tokens.
class CrossCovariance final : public Module {
 public:
  CrossCovariance(int dim, const CrossCovarianceOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  int heads_;
  Param temperature_;
  Ref<Linear> qkv_, proj_;
  Ref<Dropout> attn_drop_, proj_drop_;
};

}  // namespace fovea::zoo
