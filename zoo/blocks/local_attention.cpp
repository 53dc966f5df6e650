// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/local_attention.cpp — LocalAttention.
#include "zoo/blocks/local_attention.h"

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "zoo/blocks/windows.h"

namespace fovea::zoo {

LocalAttention::LocalAttention(int dim, const LocalAttentionOptions& o)
    : window_(o.window),
      heads_(o.heads),
      drop_(o.attn_drop) {
  head_channels(dim, heads_);
  qkv_ = add("qkv", Linear(dim, 3 * dim, o.qkv_bias));
  proj_ = add("proj", Linear(dim, dim));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

Tensor LocalAttention::forward(const Tensor& x) {
  return proj_drop_(in_windows(x, window_, [&](const Tensor& tokens) {
    const auto [q, k, v] = split_qkv(qkv_(tokens), heads_);
    const bool drops = training() && drop_ > 0;
    return proj_(merge_heads(sdpa(q, k, v, {}, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0})));
  }));
}

}  // namespace fovea::zoo
