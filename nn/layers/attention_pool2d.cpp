// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention_pool2d.cpp — queries are only made for the tokens whose answers are wanted.
#include "nn/layers/attention_pool2d.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/pos_embed.h"

namespace fovea {

AttentionPool2d::AttentionPool2d(int features, int classes, const AttentionPool2dOptions& o)
    : map_(o.map),
      embed_(o.embed ? o.embed : features) {
  heads_ = embed_ / o.head_dim;
  if (heads_ * o.head_dim != embed_)
    throw Error(Error::Kind::argument, str_cat("heads of ", o.head_dim, " channels do not divide ", embed_));
  set_pool(o.pool);
  if (!o.rotary) pos_embed_ = param("pos_embed", {1 + int64_t{map_.h} * map_.w, features});
  q_ = add("q", Linear(features, embed_));
  k_ = add("k", Linear(features, embed_));
  v_ = add("v", Linear(features, embed_));
  drop_ = add("drop", Dropout(o.drop_rate));
  proj_ = add("proj", classifier_layer(embed_, classes));
  if (o.rotary) {
    const RotaryOptions turns{.type = RopeType::cat, .head_dim = o.head_dim, .ref_feat_shape = map_};
    rope_ = add("pos_embed", RotaryEmbedding(turns));
  }
  start_values();
}

void AttentionPool2d::start_values() {
  const Init start = init::trunc_normal(1 / std::sqrt(q_->in_features()));
  if (pos_embed_) pos_embed_.slot().init = start;
  for (const Ref<Linear>& l : {q_, k_, v_}) {
    l->weight.slot().init = start;
    l->bias.slot().init = init::zeros();
  }
}

void AttentionPool2d::set_pool(std::string_view pool) {
  if (!pool.empty() && pool != "token")
    throw Error(Error::Kind::argument, str_cat("attention pooling has no kind '", pool, "'"), "there are token and ''");
  pool_ = pool;
}

Tensor AttentionPool2d::apply(const Tensor& x, bool pre_logits) {
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
  const Tensor pixels = permute(reshape(x, {n, c, h * w}), {0, 2, 1});
  Tensor tokens = cat({mean(pixels, {1}, keep_dims), pixels}, 1);
  const Size2 grid(static_cast<int>(h), static_cast<int>(w));
  if (pos_embed_) tokens = tokens + resample_positions(unsqueeze(*pos_embed_, 0), grid, map_, 1);
  const bool token = pool_ == "token";
  Tensor q = split_heads(q_(rope_ || !token ? tokens : slice(tokens, 1, 0, 1)), heads_);
  Tensor k = split_heads(k_(tokens), heads_);
  if (rope_) {
    const Rotary turns = rope_->at(grid);
    q = rotated(q, turns);
    k = rotated(k, turns);
    if (token) q = slice(q, 2, 0, 1);
  }
  Tensor y = drop_(merge_heads(sdpa(q, k, split_heads(v_(tokens), heads_))));
  y = token ? select(y, 1, 0) : slice(y, 1, 1, h * w + 1);
  if (!pre_logits) y = proj_(y);
  return token ? y : permute(reshape(y, {n, h, w, y.dim(2)}), {0, 3, 1, 2});
}

void AttentionPool2d::reset(int classes, std::optional<std::string_view> pool) {
  if (pool) set_pool(*pool);
  proj_ = replace("proj", classifier_layer(embed_, classes));
}

}  // namespace fovea
