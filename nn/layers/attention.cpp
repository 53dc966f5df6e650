// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention.cpp — Attention, DiffAttention and their reshapes.
#include "nn/layers/attention.h"

#include <cmath>

#include "engine/ops/ops.h"

namespace fovea {

int head_channels(int dim, int heads) {
  if (heads < 1 || dim % heads != 0)
    throw Error(Error::Kind::argument, cat(dim, " channels do not divide into ", heads, " heads"), current_scope());
  return dim / heads;
}

Tensor split_heads(const Tensor& x, int64_t heads) {
  return permute(reshape(x, {x.dim(0), x.dim(1), heads, x.dim(2) / heads}), {0, 2, 1, 3});
}

Tensor merge_heads(const Tensor& x) {
  return reshape(permute(x, {0, 2, 1, 3}), {x.dim(0), x.dim(2), x.dim(1) * x.dim(3)});
}

std::array<Tensor, 3> split_qkv(const Tensor& x, int64_t heads) {
  const Tensor each = permute(reshape(x, {x.dim(0), x.dim(1), 3, heads, x.dim(2) / 3 / heads}), {2, 0, 3, 1, 4});
  return {select(each, 0, 0), select(each, 0, 1), select(each, 0, 2)};
}

Tensor SelfAttention::operator()(const Tensor& x, const AttentionMask& m) {
  const Scope scope(name());
  return attend(x, m);
}

Attention::Attention(int dim, const SelfAttentionOptions& o) : heads_(o.heads), attn_drop_(o.attn_drop) {
  const int head = o.head_dim ? o.head_dim : head_channels(dim, o.heads), inner = head * o.heads;
  qkv = add("qkv", Linear(dim, 3 * inner, o.qkv_bias));
  if (o.qk_norm) {
    q_norm_ = add("q_norm", token_norm(o.norm, head));
    k_norm_ = add("k_norm", token_norm(o.norm, head));
  }
  if (o.scale_norm) norm_ = add("norm", token_norm(o.norm, inner));
  if (o.gated) gate_ = add("gate", std::unique_ptr<Module>(std::make_unique<Linear>(dim, inner, o.qkv_bias)));
  proj = add("proj", Linear(inner, o.out ? o.out : dim, o.proj_bias));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

Tensor Attention::attend(const Tensor& x, const AttentionMask& m) {
  const auto [q, k, v] = split_qkv(qkv(x), heads_);
  const bool drops = training() && attn_drop_ > 0;
  const AttentionOptions options{
      .scale = {}, .causal = m.causal, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
  Tensor y = norm_(merge_heads(sdpa(q_norm_(q), k_norm_(k), v, m.mask, options)));
  if (gate_.get()) y = y * sigmoid(gate_(x));
  return proj_drop_(proj(y));
}

double DifferentialLambda::start_at(int depth) { return 0.8 - 0.6 * std::exp(-0.3 * depth); }

Tensor DifferentialLambda::value() const { return exp(sum(*q1 * *k1)) - exp(sum(*q2 * *k2)) + start; }

Tensor differential_attention(const Tensor& q, const Tensor& k, const Tensor& v, const DifferentialLambda& lambda,
                              const AttentionMask& m, double dropout, int64_t key) {
  const int64_t n = q.dim(0), heads = v.dim(1), length = q.dim(2), d = q.dim(3);
  const Tensor qs = reshape(q, {n, heads, 2, length, d}), ks = reshape(k, {n, heads, 2, length, d});
  const auto map = [&](int64_t i) {
    const AttentionOptions options{.scale = {}, .causal = m.causal, .dropout = dropout, .key = key + i};
    return sdpa(select(qs, 2, i), select(ks, 2, i), v, m.mask, options);
  };
  const Tensor first = map(0);
  return first - map(1) * cast(lambda.value(), q.dtype());
}

DiffAttention::DiffAttention(int dim, const SelfAttentionOptions& o, int depth)
    : heads_(o.heads),
      attn_drop_(o.attn_drop) {
  const int head = head_channels(dim, 2 * o.heads);
  lambda_.q1 = param("lambda_q1", {head}, init::normal(0.1));
  lambda_.k1 = param("lambda_k1", {head}, init::normal(0.1));
  lambda_.q2 = param("lambda_q2", {head}, init::normal(0.1));
  lambda_.k2 = param("lambda_k2", {head}, init::normal(0.1));
  lambda_.start = DifferentialLambda::start_at(depth);
  qkv = add("qkv", Linear(dim, 3 * dim, o.qkv_bias));
  if (o.qk_norm) {
    q_norm_ = add("q_norm", token_norm(o.norm, head));
    k_norm_ = add("k_norm", token_norm(o.norm, head));
  }
  if (o.scale_norm) norm_ = add("norm", token_norm(o.norm, dim));
  proj = add("proj", Linear(dim, dim, o.proj_bias));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
  sub_norm_ = add("sub_norm", RmsNorm(2 * head, 1e-5));
}

Tensor DiffAttention::attend(const Tensor& x, const AttentionMask& m) {
  const std::vector<Tensor> each = chunk(qkv(x), 3, 2);
  const bool drops = training() && attn_drop_ > 0;
  const Tensor q = q_norm_(split_heads(each[0], 2 * heads_)), k = k_norm_(split_heads(each[1], 2 * heads_));
  const Tensor y = differential_attention(q, k, split_heads(each[2], heads_), lambda_, m, drops ? attn_drop_ : 0,
                                          drops ? next_key() : 0);
  return proj_drop_(proj(norm_(merge_heads(sub_norm_(y) * (1 - lambda_.start)))));
}

}  // namespace fovea
