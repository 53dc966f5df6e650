// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_attention.cpp — WindowAttention.
#include "nn/layers/window_attention.h"

#include "nn/layers/attention.h"
#include "nn/layers/window_sdpa.h"

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
  return proj_drop_(proj(window_sdpa(split_qkv(qkv(x), heads_), table_.bias(), mask, options)));
}

}  // namespace fovea
