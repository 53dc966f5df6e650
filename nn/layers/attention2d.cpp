// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention2d.cpp — Attention2d and MultiQueryAttention2d.
#include "nn/layers/attention2d.h"

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"

namespace fovea {

Attention2d::Attention2d(int dim, const Attention2dOptions& o) : heads_(o.heads) {
  head_channels(dim, o.heads);  // throws when the heads do not divide the channels
  qkv = add("qkv", Conv2d(dim, 3 * dim, 1, {.bias = o.bias}));
  proj = add("proj", Conv2d(dim, o.out ? o.out : dim, 1, {.bias = o.bias}));
}

Tensor Attention2d::forward(const Tensor& x) {
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
  const Tensor each = permute(reshape(qkv(x), {n, 3, heads_, c / heads_, h * w}), {1, 0, 2, 4, 3});
  const Tensor y = sdpa(select(each, 0, 0), select(each, 0, 1), select(each, 0, 2));
  return proj(reshape(permute(y, {0, 1, 3, 2}), {n, c, h, w}));
}

MultiQueryAttention2d::MultiQueryAttention2d(int dim, const MultiQueryOptions& o) : heads_(o.heads) {
  const int key = o.key_dim ? o.key_dim : head_channels(dim, o.heads);
  const int value = o.value_dim ? o.value_dim : head_channels(dim, o.heads);
  query_ = projection("query", dim, o.heads * key, {});
  key_ = projection("key", dim, key, o);
  value_ = projection("value", dim, value, o);
  output_ = projection("output", o.heads * value, o.out ? o.out : dim, {});
  start_values();
}

Ref<Sequential> MultiQueryAttention2d::projection(std::string_view name, int dim, int out, const MultiQueryOptions& o) {
  Sequential s;
  if (o.kv_stride > 1) {
    const Conv2dOptions fewer{.stride = o.kv_stride, .dilation = o.dilation, .groups = dim, .padding = o.padding};
    s.add("down_conv", Conv2d(dim, dim, o.kernel, fewer));
    s.add("norm", norm2d(o.norm, dim));
  }
  s.add("proj", Conv2d(dim, out, 1));
  return add(name, std::move(s));
}

void MultiQueryAttention2d::start_values() {
  visit([](const std::string&, Module& m) {
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) conv->weight.slot().init = init::xavier_uniform(conv->weight->shape());
  });
}

// Heads share keys and values, so the queries of all heads are rows of one matrix.
Tensor MultiQueryAttention2d::forward(const Tensor& x) {
  const int64_t n = x.dim(0), h = x.dim(2), w = x.dim(3);
  const auto rows = [n](const Tensor& map, int64_t heads) {  // [N, heads * D, H, W] -> [N, heads * H * W, D]
    const int64_t d = map.dim(1) / heads, area = map.dim(2) * map.dim(3);
    return reshape(permute(reshape(map, {n, heads, d, area}), {0, 1, 3, 2}), {n, heads * area, d});
  };
  const Tensor y = sdpa(rows(query_(x), heads_), rows(key_(x), 1), rows(value_(x), 1));
  const int64_t d = y.dim(2);
  return output_(reshape(permute(reshape(y, {n, heads_, h * w, d}), {0, 1, 3, 2}), {n, heads_ * d, h, w}));
}

}  // namespace fovea
