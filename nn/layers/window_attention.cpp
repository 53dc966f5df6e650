// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_attention.cpp — WindowAttention.
#include "nn/layers/window_attention.h"

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"

namespace fovea {
WindowAttention::WindowAttention(int dim, const WindowAttentionOptions& o) : heads_(o.heads), attn_drop_(o.attn_drop) {
  const int head = o.head_dim || o.heads < 1 ? o.head_dim : dim / o.heads, inner = head * o.heads;
  if (head < 1 || o.heads < 1)
    throw Error(Error::Kind::argument, str_cat(o.heads, " heads of ", head, " channels cannot attend"),
                current_scope());
  const Param table =
      param("relative_position_bias_table", RelativeTable::shape(o.window, heads_), init::trunc_normal(0.02));
  table_ = {table, constant("relative_position_index", relative_positions(o.window)), o.window, false};
  qkv = add("qkv", Linear(dim, 3 * inner, o.qkv_bias));
  proj = add("proj", Linear(inner, dim));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

Tensor WindowAttention::operator()(const Tensor& x, const Tensor& mask) {
  const Scope scope(name());
  return attend(x, mask);
}

Tensor WindowAttention::attend(const Tensor& x, const Tensor& mask) {
  const bool drops = training() && attn_drop_ > 0;
  const AttentionOptions options{.scale = {}, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
  const auto [q, k, v] = split_qkv(qkv(x), heads_);
  Tensor bias = table_.bias(), y;
  if (mask) {  // differs from window to window: they get a dimension of their own
    const auto apart = [&](const Tensor& t) { return unflatten(t, 0, {-1, mask.dim(0)}); };
    bias = bias + unsqueeze(cast(mask, bias.dtype()), 1);
    y = flatten(sdpa(apart(q), apart(k), apart(v), bias, options), 0, 1);
  } else {
    y = sdpa(q, k, v, bias, options);
  }
  return proj_drop_(proj(merge_heads(y)));
}

}  // namespace fovea
