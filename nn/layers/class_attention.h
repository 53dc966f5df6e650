// SPDX-License-Identifier: Apache-2.0
// nn/layers/class_attention.h — ClassAttention: the first token alone looks at all tokens.
#pragma once
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea {

struct ClassAttentionOptions {
  int heads = 8;
  bool qkv_bias = false;
  double attn_drop = 0, proj_drop = 0;
};

/// Tokens [N, L, C] -> [N, 1, C], as in CaiT: https://arxiv.org/abs/2103.17239.
class ClassAttention final : public Module {
 public:
  explicit ClassAttention(int dim, const ClassAttentionOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  int heads_;
  double attn_drop_;
  Ref<Linear> q_, k_, v_, proj_;
  Ref<Dropout> proj_drop_;
};

}  // namespace fovea
