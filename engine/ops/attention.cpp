// SPDX-License-Identifier: Apache-2.0
// engine/ops/attention.cpp — scaled dot-product attention: softmax(scale q k^T + mask) v.
#include <cmath>
#include <limits>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

Shape leading(const Shape& s) { return Shape(s.begin(), s.end() - 2); }
Shape scores_shape(const Shape& q, const Shape& k) { return with_dim(q, q.size() - 1, k[k.size() - 2]); }

Metas infer_sdpa(const Site& s) {
  s.want_floating(0);
  const Meta &q = s.operand(0), &k = s.operand(1), &v = s.operand(2);
  const int rank = q.rank();
  if (rank < 3) s.fail(str_cat("q must be [..., L, D] with at least one leading dimension, not ", q.shape));
  s.want_rank(1, rank);
  s.want_rank(2, rank);
  if (k.dtype != q.dtype || v.dtype != q.dtype)
    s.fail(str_cat("q is ", name_of(q.dtype), ", k ", name_of(k.dtype), ", v ", name_of(v.dtype)));
  if (leading(k.shape) != leading(q.shape) || leading(v.shape) != leading(q.shape))
    s.fail("q, k and v differ in their leading dimensions");
  if (q.dim(-1) != k.dim(-1)) s.fail(str_cat("q has ", q.dim(-1), " features, k ", k.dim(-1)));
  if (k.dim(-2) != v.dim(-2)) s.fail(str_cat("k has ", k.dim(-2), " rows, v ", v.dim(-2)));
  if (s.has(3)) {
    const Meta& mask = s.operand(3);
    const Shape scores = scores_shape(q.shape, k.shape);
    if (mask.dtype != DType::boolean && mask.dtype != q.dtype)
      s.fail(str_cat("the mask must be bool or ", name_of(q.dtype), ", not ", name_of(mask.dtype)));
    if (broadcast(s, mask.shape, scores) != scores)
      s.fail(str_cat("mask ", mask.shape, " does not broadcast to ", scores));
  }
  return {make_meta(q.dtype, with_dim(q.shape, rank - 1, v.dim(-1)), Memory::contiguous, q.device)};
}

Tensor causal_mask(int64_t rows, int64_t columns, Device d) {
  return less_equal(arange(0, columns, 1, DType::i64, d), unsqueeze(arange(0, rows, 1, DType::i64, d), 1));
}

double lowest(DType t) { return t == DType::f16 ? -65504.0 : -3e38; }

// Rows in which nothing may be attended to give zeros, as in PyTorch.
Tensor attention_weights(const Tensor& q, const Tensor& k, const Tensor& mask, const AttentionAttrs& a) {
  const Tensor scores = matmul(q, k, {.transpose_b = true, .scale = a.scale});
  Tensor allowed;
  if (a.causal) allowed = causal_mask(q.dim(-2), k.dim(-2), q.device());
  if (mask && mask.dtype() == DType::boolean) allowed = allowed ? logical_and(allowed, mask) : mask;
  const Tensor biased = mask && mask.dtype() != DType::boolean ? scores + mask : scores;
  if (!allowed) return softmax(biased, -1);
  const Tensor weights = softmax(where(allowed, biased, scalar(lowest(q.dtype()), q)), -1);
  return where(allowed, weights, scalar(0, q));
}

Tensors vjp_sdpa(const Backward& b) {
  const auto& a = b.attrs<AttentionAttrs>();
  const Tensor g = b.grad(), q = b.in(0), k = b.in(1), v = b.in(2), mask = b.in(3);
  const Tensor weights = attention_weights(q, k, mask, a);
  Tensor gq, gk, gv, gmask;
  if (b.needs(2)) gv = matmul(weights, g, {.transpose_a = true});
  if (b.needs(0) || b.needs(1) || b.needs(3)) {
    const Tensor gw = matmul(g, v, {.transpose_b = true}) * weights;
    const Tensor gs = gw - weights * sum(gw, {-1}, keep_dims);
    if (b.needs(0)) gq = matmul(gs, k, {.scale = a.scale});
    if (b.needs(1)) gk = matmul(gs, q, {.transpose_a = true, .scale = a.scale});
    if (b.needs(3)) gmask = sum_to(gs, mask.shape());
  }
  return {gq, gk, gv, gmask};
}

Tensor with_leading(const Tensor& x, const Shape& lead) {
  Shape s = lead;
  s.push_back(x.dim(-2));
  s.push_back(x.dim(-1));
  return expand(x, s);
}

int64_t work_sdpa(const Site& s) { return (s.operand(0).numel() + s.result().numel()) * s.operand(1).dim(-2); }

}  // namespace

namespace ops {
constinit const OpDef sdpa{.signature = "sdpa(q, k, v, mask?) -> y",
                           .infer = infer_sdpa,
                           .vjp = vjp_sdpa,
                           .saves = {.inputs = 0b1111},
                           .role = Role::attention,
                           .work = work_sdpa};
}  // namespace ops

Tensor sdpa(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, const AttentionOptions& o) {
  for (const Tensor* t : {&q, &k, &v})
    if (t->rank() < 2)
      reject(ops::sdpa, {q, k, v}, str_cat("operands are matrices [..., rows, features], not ", t->shape()));
  if (o.dropout < 0 || o.dropout > 1)
    reject(ops::sdpa, {q, k, v}, str_cat("dropout=", o.dropout, " is no probability"));
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(q.dim(-1))));
  const AttentionAttrs a{static_cast<float>(scale), o.causal};
  const Tensor bias = mask && mask.dtype() != DType::boolean ? cast(mask, q.dtype()) : mask;
  if (o.dropout > 0) return matmul(dropout(attention_weights(q, k, bias, a), o.dropout, o.key), v);
  if (q.rank() == 2 && k.rank() == 2 && v.rank() == 2)
    return squeeze(call1(ops::sdpa, {unsqueeze(q, 0), unsqueeze(k, 0), unsqueeze(v, 0), bias}, a), 0);
  const Metas metas{q.meta(), k.meta(), v.meta()};
  const Site site{ops::sdpa, metas, {}, {}};
  const Shape lead = broadcast(site, leading(q.shape()), broadcast(site, leading(k.shape()), leading(v.shape())));
  return call1(ops::sdpa, {with_leading(q, lead), with_leading(k, lead), with_leading(v, lead), bias}, a);
}

}  // namespace fovea
