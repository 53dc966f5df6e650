// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/reduced_attention.cpp — ReducedAttention.
#include "zoo/blocks/reduced_attention.h"

#include "engine/ops/ops.h"
#include "nn/layers/act.h"
#include "nn/layers/attention.h"
#include "nn/layers/conv.h"
#include "nn/layers/norm.h"

namespace fovea::zoo {

ReducedAttention::ReducedAttention(int dim, const ReducedAttentionOptions& o)
    : heads_(o.heads),
      linear_(o.linear),
      drop_(o.attn_drop) {
  head_channels(dim, heads_);
  q_ = add("q", Linear(dim, dim, o.qkv_bias));
  kv_ = add("kv", Linear(dim, 2 * dim, o.qkv_bias));
  proj_ = add("proj", Linear(dim, dim));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
  if (!linear_ && o.part <= 1) return;
  const int kernel = linear_ ? 1 : o.part;
  sr_ = add("sr", Conv2d(dim, dim, kernel, {.stride = kernel, .padding = 0, .bias = true}));
  norm_ = add("norm", LayerNorm(dim, 1e-5));
}

Tensor ReducedAttention::forward(const Tensor& x) {
  const std::vector<Tensor> kv = chunk(kv_(flatten(reduced(x), 1, 2)), 2, -1);
  const Tensor q = split_heads(q_(flatten(x, 1, 2)), heads_), k = split_heads(kv[0], heads_),
               v = split_heads(kv[1], heads_);
  const bool drops = training() && drop_ > 0;
  const Tensor y = sdpa(q, k, v, {}, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0});
  return unflatten(proj_drop_(proj_(merge_heads(y))), 1, {x.dim(1), x.dim(2)});
}

Tensor ReducedAttention::reduced(const Tensor& x) {
  if (!sr_) return x;
  const Tensor map = permute(x, {0, 3, 1, 2});
  const Tensor y = norm_(permute(sr_(linear_ ? adaptive_avg_pool(map, {7, 7}) : map), {0, 2, 3, 1}));
  return linear_ ? activate(y, act::gelu) : y;
}

}  // namespace fovea::zoo
