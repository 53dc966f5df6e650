// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_attention.cpp — WindowAttention.
#include "nn/layers/window_attention.h"

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/relative_bias.h"

namespace fovea {
namespace {

Shape table_shape(Size2 window, int heads) {
  return {static_cast<int64_t>(2 * window.h - 1) * (2 * window.w - 1), heads};
}

}  // namespace

WindowAttention::WindowAttention(int dim, const WindowAttentionOptions& o)
    : heads_(o.heads),
      window_(o.window),
      attn_drop_(o.attn_drop) {
  const int head = o.head_dim || o.heads < 1 ? o.head_dim : dim / o.heads, inner = head * o.heads;
  if (head < 1 || o.heads < 1)
    throw Error(Error::Kind::argument, cat(o.heads, " heads of ", head, " channels cannot attend"), current_scope());
  relative_position_bias_table =
      param("relative_position_bias_table", table_shape(window_, heads_), init::trunc_normal(0.02));
  positions_ = constant("relative_position_index", relative_positions(window_));
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
  Tensor bias = relative_bias(relative_position_bias_table, positions_), y;
  if (mask) {  // differs from window to window: they get a dimension of their own
    const auto apart = [&](const Tensor& t) { return unflatten(t, 0, {-1, mask.dim(0)}); };
    bias = bias + unsqueeze(cast(mask, bias.dtype()), 1);
    y = flatten(sdpa(apart(q), apart(k), apart(v), bias, options), 0, 1);
  } else {
    y = sdpa(q, k, v, bias, options);
  }
  return proj_drop_(proj(merge_heads(y)));
}

void WindowAttention::set_window(Size2 window) {
  if (window == window_) return;
  const Tensor old = relative_position_bias_table;
  Tensor table = old.has_bytes() ? resample_relative_bias(old.detach(), window, window_)
                                 : meta_tensor(make_meta(old.dtype(), table_shape(window, heads_)));
  table.set_requires_grad(old.requires_grad());
  relative_position_bias_table.set(table);
  positions_.set(relative_positions(window));
  window_ = window;
}

}  // namespace fovea
