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
  const int64_t h = x.dim(1), w = x.dim(2), more_h = (window_.h - h % window_.h) % window_.h,
                more_w = (window_.w - w % window_.w) % window_.w;
  const bool pads = more_h > 0 || more_w > 0, drops = training() && drop_ > 0;
  const Tensor whole = pads ? pad_last(x, {0, 0, 0, more_w, 0, more_h}) : x;
  const auto [q, k, v] = split_qkv(qkv_(window_partition(whole, window_)), heads_);
  const Tensor y = sdpa(q, k, v, {}, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0});
  const Size2 map(static_cast<int>(whole.dim(1)), static_cast<int>(whole.dim(2)));
  const Tensor all = window_reverse(proj_(merge_heads(y)), window_, map);
  return proj_drop_(pads ? slice(slice(all, 1, 0, h), 2, 0, w) : all);
}

}  // namespace fovea::zoo
