// SPDX-License-Identifier: Apache-2.0
// nn/layers/attention.cpp — Attention, DiffAttention and their reshapes.
#include "nn/layers/attention.h"

#include <cmath>

#include "engine/ops/ops.h"

namespace fovea {

int head_channels(int dim, int heads) {
  if (heads < 1 || dim % heads != 0)
    throw Error(Error::Kind::argument, str_cat(dim, " channels do not divide into ", heads, " heads"), current_scope());
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

Tensor SelfAttention::operator()(const Tensor& x, const AttentionContext& c) {
  const Scope scope(name());
  return attend(x, c);
}

Attention::Attention(int dim, const SelfAttentionOptions& o)
    : heads_(o.heads),
      kv_heads_(o.kv_heads ? o.kv_heads : o.heads),
      attn_drop_(o.attn_drop) {
  const int head = o.head_dim ? o.head_dim : head_channels(dim, o.heads), inner = head * o.heads;
  add_products(dim, head, o);
  if (o.qk_norm) {
    q_norm_ = add("q_norm", token_norm(o.norm, head));
    k_norm_ = add("k_norm", token_norm(o.norm, head));
  }
  if (o.rel_pos.type == RelPosType::own_bias) {
    const Shape shape = RelativeTable::shape(o.rel_pos.window, heads_, o.rel_pos.class_token);
    table_ = {param("relative_position_bias_table", shape, init::zeros()),
              constant("relative_position_index", relative_positions(o.rel_pos.window, o.rel_pos.class_token)),
              o.rel_pos.window, o.rel_pos.class_token};
  } else {
    rel_pos_ = add("rel_pos", position_bias(o.rel_pos, heads_));
  }
  if (o.scale_norm) norm_ = add("norm", token_norm(o.norm, inner));
  if (o.gated) gate_ = add("gate", std::unique_ptr<Module>(std::make_unique<Linear>(dim, inner, o.qkv_bias)));
  proj_ = add("proj", Linear(inner, o.out ? o.out : dim, o.proj_bias));
  proj_drop_ = add("proj_drop", Dropout(o.proj_drop));
}

void Attention::add_products(int dim, int head, const SelfAttentionOptions& o) {
  const int inner = head * heads_, kv = head * kv_heads_;
  if (heads_ % kv_heads_ != 0 || (o.qkv_fused && kv_heads_ != heads_))
    throw Error(Error::Kind::argument, str_cat(heads_, " heads cannot share the keys of ", kv_heads_),
                "these divide them, and qkv_fused is false");
  if (!o.qkv_fused) {
    q_proj_ = add("q_proj", Linear(dim, inner, o.qkv_bias));
    k_proj_ = add("k_proj", Linear(dim, kv, o.qkv_bias && o.k_bias));
    v_proj_ = add("v_proj", Linear(dim, kv, o.qkv_bias));
    return;
  }
  if (o.qkv_bias && !o.k_bias) {
    q_bias_ = param("q_bias", {inner}, init::zeros());
    k_bias_ = constant("k_bias", zeros({inner}));
    v_bias_ = param("v_bias", {inner}, init::zeros());
  }
  qkv_ = add("qkv", Linear(dim, 3 * inner, o.qkv_bias && o.k_bias));
}

std::array<Tensor, 3> Attention::products(const Tensor& x) {
  if (q_bias_) {
    const Scope scope("qkv");
    return split_qkv(linear(x, qkv_->weight, cat({*q_bias_, *k_bias_, *v_bias_}, 0)), heads_);
  }
  if (qkv_) return split_qkv(qkv_(x), heads_);
  const int64_t shared = heads_ / kv_heads_;
  const auto spread = [&](const Tensor& t) { return shared > 1 ? repeat_interleave(t, shared, 1) : t; };
  return {split_heads(q_proj_(x), heads_), spread(split_heads(k_proj_(x), kv_heads_)),
          spread(split_heads(v_proj_(x), kv_heads_))};
}

Tensor Attention::masked(const Tensor& mask) {
  if (!rel_pos_ && !table_) return mask;
  const Tensor own = rel_pos_ ? rel_pos_->bias() : table_.bias();
  return mask ? own + mask : own;
}

Tensor Attention::attend(const Tensor& x, const AttentionContext& c) {
  const auto [q, k, v] = products(x);
  const bool drops = training() && attn_drop_ > 0;
  const AttentionOptions options{
      .scale = {}, .causal = c.causal, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
  const Tensor turned_q = rotated(q_norm_(q), c.rotary), turned_k = rotated(k_norm_(k), c.rotary);
  Tensor y = norm_(merge_heads(sdpa(turned_q, turned_k, v, masked(c.mask), options)));
  if (gate_.get()) y = y * sigmoid(gate_(x));
  return proj_drop_(proj_(y));
}

void Attention::set_window(Size2 window) {
  if (rel_pos_) rel_pos_->set_window(window);
  if (table_) table_.set_window(window);
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

Tensor DiffAttention::attend(const Tensor& x, const AttentionContext& c) {
  const std::vector<Tensor> each = chunk(qkv(x), 3, 2);
  const bool drops = training() && attn_drop_ > 0;
  const Tensor q = rotated(q_norm_(split_heads(each[0], 2 * heads_)), c.rotary),
               k = rotated(k_norm_(split_heads(each[1], 2 * heads_)), c.rotary);
  const Tensor y = differential_attention(q, k, split_heads(each[2], heads_), lambda_, {c.mask, c.causal},
                                          drops ? attn_drop_ : 0, drops ? next_key() : 0);
  return proj_drop_(proj(norm_(merge_heads(sub_norm_(y) * (1 - lambda_.start)))));
}

}  // namespace fovea
