// SPDX-License-Identifier: Apache-2.0
// nn/layers/token_pool.cpp — pooling of tokens.
#include "nn/layers/token_pool.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"

namespace fovea {

Tensor pool_tokens(const Tensor& x, std::string_view type, int prefix_tokens, bool include_prefix) {
  if (type.empty()) return x;
  if (type == "token") return select(x, 1, 0);
  const Tensor pooled = include_prefix || prefix_tokens == 0 ? x : slice(x, 1, prefix_tokens, x.dim(1));
  if (type == "avg") return mean(pooled, {1});
  if (type == "max") return amax(pooled, {1});
  if (type == "avgmax") return (amax(pooled, {1}) + mean(pooled, {1})) * 0.5;
  throw Error(Error::Kind::argument, str_cat("no pooling '", type, "' of tokens"),
              "there are: token, avg, max, avgmax, and \"\" for none");
}

Tensor pool_valid_tokens(const Tensor& x, const Tensor& valid, std::string_view type) {
  const Tensor counts = unsqueeze(cast(valid, x.dtype()), -1);
  const Tensor average = sum(x * counts, {1}) / clamp_min(sum(counts, {1}), 1);
  if (type == "avg") return average;
  const Tensor least = full({1}, x.dtype() == DType::f16 ? -65504 : -3e38, x.dtype(), x.device());
  const Tensor largest = amax(where(unsqueeze(valid, -1), x, least), {1});
  return type == "max" ? largest : (largest + average) * 0.5;
}

AttentionPoolLatent::AttentionPoolLatent(int channels, const AttentionPoolOptions& o) : heads_(o.heads), pool_(o.pool) {
  const int head = head_channels(channels, o.heads), out = o.out == 0 ? channels : o.out;
  const Init start = init::trunc_normal_tf(1 / std::sqrt(channels));
  if (o.positions > 0) pos_embed_ = param("pos_embed", {o.positions, channels}, start);
  latent_ = param("latent", {1, o.latents, channels}, start);
  if (o.q_proj) q_ = add("q", Linear(channels, channels, o.qkv_bias));
  kv_ = add("kv", Linear(channels, 2 * channels, o.qkv_bias));
  if (o.qk_norm) {
    const TokenNorm norm = o.norm ? o.norm : TokenNorm{.eps = 1e-5};
    q_norm_ = add("q_norm", token_norm(norm, head));
    k_norm_ = add("k_norm", token_norm(norm, head));
  }
  if (out > 0) proj_ = add("proj", Linear(channels, out));
  proj_drop_ = add("proj_drop", Dropout(o.drop));
  if (out < 0) return;
  if (o.norm) norm_ = add("norm", token_norm(o.norm, out));
  mlp_ = add("mlp", Mlp(out, {.hidden = static_cast<int>(out * o.mlp_ratio), .act = o.act}));
}

Tensor AttentionPoolLatent::operator()(const Tensor& x, const Tensor& valid) {
  const Scope scope(name());
  return attend(x, reshape(valid, {valid.dim(0), 1, 1, valid.dim(1)}));
}

Tensor AttentionPoolLatent::attend(const Tensor& x, const Tensor& mask) {
  const Tensor tokens = pos_embed_ ? x + unsqueeze(pos_embed_, 0) : x;
  const int64_t n = x.dim(0), length = x.dim(1), c = x.dim(2);
  const Tensor q = split_heads(q_(expand(latent_, {n, latent_->dim(1), c})), heads_);
  const Tensor kv = permute(reshape(kv_(tokens), {n, length, 2, heads_, c / heads_}), {2, 0, 3, 1, 4});
  Tensor y = proj_drop_(proj_(merge_heads(sdpa(q_norm_(q), k_norm_(select(kv, 0, 0)), select(kv, 0, 1), mask))));
  if (mlp_.get()) y = y + mlp_(norm_(y));
  return pool_tokens(y, pool_, 0, true);
}

AttentionPoolPrr::AttentionPoolPrr(int channels, int heads, std::string_view pool) : heads_(heads), pool_(pool) {
  head_channels(channels, heads);
}

Tensor AttentionPoolPrr::forward(const Tensor& x) {
  const Tensor each = split_heads(x, heads_);
  return pool_tokens(merge_heads(sdpa(each, each, each)), pool_, 0, true);
}

}  // namespace fovea
