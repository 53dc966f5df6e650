// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/pixel_attention.h — what stands for a 3x3 convolution in residual networks that attend: every pixel to
// all, to those around its block, or by functions of all pixels.
#pragma once
#include <memory>

#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea::zoo {

struct PixelAttentionOptions {
  int stride = 1;
  int heads = 0, head_dim = 0;  // 0: the kind's default; as qk_ratio says
  double qk_ratio = 1;          // channels of queries and keys in those of values
  Size2 map = 0;                // height and width that it is for; 0: any, where the kind can
  int block = 8, halo = 3;      // of halo attention: pixels a side, and around it
  int radius = 0;               // of lambdas: a convolution of that kernel; 0: a table of relative positions
};

/// N,C,H,W -> N,C,H / stride,W / stride
class PixelAttention : public Module {
 public:
  /// Gives its layers their first values: for networks that give all convolutions others.
  virtual void start_values() = 0;
};

/// https://arxiv.org/abs/2101.11605
std::unique_ptr<PixelAttention> bottleneck_attention(int channels, const PixelAttentionOptions& o);
/// https://arxiv.org/abs/2103.12731
std::unique_ptr<PixelAttention> halo_attention(int channels, const PixelAttentionOptions& o);
/// https://arxiv.org/abs/2102.08602
std::unique_ptr<PixelAttention> lambda_layer(int channels, const PixelAttentionOptions& o);

}  // namespace fovea::zoo
