// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/local_attention.h — attention within windows, without positions: DaViT's and Twins'.
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea::zoo {

struct LocalAttentionOptions {
  int heads = 8;
  Size2 window = 7;
  bool qkv_bias = true;
  double attn_drop = 0, proj_drop = 0;
};
/// Over N,H,W,C, which zeros fill up to whole windows.
class LocalAttention final : public Module {
 public:
  LocalAttention(int dim, const LocalAttentionOptions& o);
  Tensor forward(const Tensor& x) override;

 private:
  Size2 window_;
  int heads_;
  double drop_;
  Ref<Linear> qkv_, proj_;
  Ref<Dropout> proj_drop_;
};

}  // namespace fovea::zoo
