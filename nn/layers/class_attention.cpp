// SPDX-License-Identifier: Apache-2.0
// nn/layers/class_attention.cpp — ClassAttention.
#include "nn/layers/class_attention.h"

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"

namespace fovea {

ClassAttention::ClassAttention(int dim, const ClassAttentionOptions& o) : heads_(o.heads), attn_drop_(o.attn_drop) {
  head_channels(dim, o.heads);
  q_ = add("q", Linear(dim, dim, o.qkv_bias));
  k_ = add("k", Linear(dim, dim, o.qkv_bias));
  v_ = add("v", Linear(dim, dim, o.qkv_bias));
  proj_ = add("proj", Linear(dim, dim));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

Tensor ClassAttention::forward(const Tensor& x) {
  const bool drops = training() && attn_drop_ > 0;
  const AttentionOptions options{.scale = {}, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
  const Tensor q = split_heads(q_(slice(x, 1, 0, 1)), heads_);
  return proj_drop_(proj_(merge_heads(sdpa(q, split_heads(k_(x), heads_), split_heads(v_(x), heads_), {}, options))));
}

}  // namespace fovea
