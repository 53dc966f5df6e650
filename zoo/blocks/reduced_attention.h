// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/reduced_attention.h — attention whose keys and values come from a smaller map: PVT's and Twins'.
#pragma once
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea::zoo {

struct ReducedAttentionOptions {
  int heads = 8;
  int part = 1;         // by which the map of keys and values is smaller
  bool linear = false;  // ... which is one of 7 x 7, whatever the image
  bool qkv_bias = true;
  double attn_drop = 0, proj_drop = 0;
};
/// Over N,H,W,C.
class ReducedAttention final : public Module {
 public:
  ReducedAttention(int dim, const ReducedAttentionOptions& o);
  Tensor forward(const Tensor& x) override;

 private:
  Tensor reduced(const Tensor& x);
  int heads_;
  bool linear_;
  double drop_;
  Ref<Linear> q_, kv_, proj_;
  Ref<Dropout> proj_drop_;
  Maybe<Module> sr_, norm_;
};

}  // namespace fovea::zoo
