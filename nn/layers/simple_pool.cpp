// SPDX-License-Identifier: Apache-2.0
// nn/layers/simple_pool.cpp — attention of the mean.
#include "nn/layers/simple_pool.h"

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"

namespace fovea {

SimplePool::SimplePool(int channels, const SimplePoolOptions& o) : heads_(o.heads), gamma_(o.gamma) {
  const int head = head_channels(channels, o.heads);
  norm_ = add("norm", token_norm(o.norm, channels));
  q_ = add("q", Linear(channels, channels, o.qkv_bias));
  k_ = add("k", Linear(channels, channels, o.qkv_bias));
  if (!o.qk_norm) return;
  q_norm_ = add("q_norm", token_norm(o.norm, head));
  k_norm_ = add("k_norm", token_norm(o.norm, head));
}

Tensor SimplePool::forward(const Tensor& x) {
  const Tensor tokens = x.rank() == 4 ? transpose(flatten(x, 2), 1, 2) : x, normed = norm_(tokens);
  const Tensor q = q_norm_(split_heads(q_(mean(tokens, {1}, keep_dims)), heads_));
  const Tensor k = k_norm_(split_heads(k_(normed), heads_));
  Tensor v = split_heads(normed, heads_);
  if (gamma_ > 0) v = pow(v - amin(v, {-2}, keep_dims) + 1e-6, gamma_);
  Tensor y = sdpa(q, k, v);
  if (gamma_ > 0) y = pow(y, 1 / gamma_);
  return squeeze(merge_heads(y), 1);
}

}  // namespace fovea
