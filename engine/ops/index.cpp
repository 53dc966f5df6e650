// SPDX-License-Identifier: Apache-2.0
// engine/ops/index.cpp — elements chosen by index tensors, and sums into them.
#include "engine/ops/rules.h"

namespace fovea {
namespace {

void want_indices(const Site& s, int i) {
  if (s.operand(i).dtype != DType::i64) s.fail(str_cat("index must be i64, not ", name_of(s.operand(i).dtype)));
}
// PyTorch's rule: where the index is smaller than x in another dimension, the rest of x is not looked at.
void check_index(const Site& s, int dim) {
  want_indices(s, 1);
  s.want_rank(1, s.operand(0).rank());
  for (int d = 0; d < s.operand(0).rank(); ++d)
    if (d != dim && s.operand(1).shape[d] > s.operand(0).shape[d])
      s.fail(str_cat("index ", s.operand(1).shape, " is larger than x ", s.operand(0).shape, " along dim ", d));
}

Metas infer_gather(const Site& s) {
  check_index(s, s.axis("dim", s.attrs<AxisAttrs>().dim));
  return {dense_like(s.operand(0), s.operand(1).shape)};
}
Tensors vjp_gather(const Backward& b) {
  return {scatter_add(zeros_view(b.in_meta(0)), b.attrs<AxisAttrs>().dim, b.in(1), b.grad()), Tensor()};
}

Metas infer_scatter_add(const Site& s) {
  check_index(s, s.axis("dim", s.attrs<AxisAttrs>().dim));
  if (s.operand(2).dtype != s.operand(0).dtype)
    s.fail(str_cat("x is ", name_of(s.operand(0).dtype), ", but src is ", name_of(s.operand(2).dtype)));
  if (s.operand(2).shape != s.operand(1).shape)
    s.fail(str_cat("src ", s.operand(2).shape, " and index ", s.operand(1).shape, " differ in shape"));
  // zeros that take the room of one element lie in no order: then the results lie as what is added
  const Meta& x = s.operand(0);
  const bool lies = x.is_contiguous() || x.is_channels_last();
  return {dense_like(lies ? x : s.operand(2), x.shape)};
}
Tensors vjp_scatter_add(const Backward& b) {
  const Tensor g = b.grad();
  return {g, Tensor(), b.needs(2) ? gather(g, b.attrs<AxisAttrs>().dim, b.in(1)) : Tensor()};
}

Metas infer_index_select(const Site& s) {
  const int dim = s.axis("dim", s.attrs<AxisAttrs>().dim);
  want_indices(s, 1);
  s.want_rank(1, 1);
  return {dense_like(s.operand(0), with_dim(s.operand(0).shape, dim, s.operand(1).shape[0]))};
}
Tensors vjp_index_select(const Backward& b) {
  const int dim = b.attrs<AxisAttrs>().dim;
  return {index_add(b.grad(), dim, b.in(1), b.in_meta(0).shape[dim]), Tensor()};
}

Metas infer_index_add(const Site& s) {
  const auto& a = s.attrs<AxisAttrs>();
  const int dim = s.axis("dim", a.dim);
  want_indices(s, 1);
  s.want_rank(1, 1);
  if (s.operand(1).shape[0] != s.operand(0).shape[dim])
    s.fail(str_cat(s.operand(1).shape[0], " indices for ", s.operand(0).shape[dim], " rows along dim ", dim));
  if (a.size < 0) s.fail(str_cat("size=", a.size));
  return {dense_like(s.operand(0), with_dim(s.operand(0).shape, dim, a.size))};
}
Tensors vjp_index_add(const Backward& b) {
  return {index_select(b.grad(), b.attrs<AxisAttrs>().dim, b.in(1)), Tensor()};
}

}  // namespace

namespace ops {
constinit const OpDef gather{.signature = "gather(x, index) -> y",
                             .infer = infer_gather,
                             .vjp = vjp_gather,
                             .saves = {.inputs = 0b10},
                             .role = Role::move};
constinit const OpDef scatter_add{.signature = "scatter_add(x, index, src) -> y",
                                  .infer = infer_scatter_add,
                                  .vjp = vjp_scatter_add,
                                  .saves = {.inputs = 0b10},
                                  .role = Role::move};
constinit const OpDef index_select{.signature = "index_select(x, index) -> y",
                                   .infer = infer_index_select,
                                   .vjp = vjp_index_select,
                                   .saves = {.inputs = 0b10},
                                   .role = Role::move};
constinit const OpDef index_add{.signature = "index_add(src, index) -> y",
                                .infer = infer_index_add,
                                .vjp = vjp_index_add,
                                .saves = {.inputs = 0b10},
                                .role = Role::move};
}  // namespace ops

Tensor gather(const Tensor& x, int dim, const Tensor& index) {
  return call1(ops::gather, {x, index}, AxisAttrs{axis_of(ops::gather, x, dim)});
}
Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& src) {
  return call1(ops::scatter_add, {x, index, src}, AxisAttrs{axis_of(ops::scatter_add, x, dim)});
}
Tensor index_select(const Tensor& x, int dim, const Tensor& index) {
  const AxisAttrs a{axis_of(ops::index_select, x, dim)};
  if (index.rank() == 1) return call1(ops::index_select, {x, index}, a);
  Shape s(x.shape().begin(), x.shape().begin() + a.dim);
  for (int64_t d : index.shape()) s.push_back(d);
  for (int i = a.dim + 1; i < x.rank(); ++i) s.push_back(x.shape()[i]);
  return reshape(call1(ops::index_select, {x, reshape(index, {index.numel()})}, a), s);
}
Tensor index_add(const Tensor& x, int dim, const Tensor& index, int64_t size) {
  return call1(ops::index_add, {x, index}, AxisAttrs{axis_of(ops::index_add, x, dim), size});
}
Tensor one_hot(const Tensor& index, int64_t classes, DType t) {
  return cast(equal(unsqueeze(index, -1), arange(0, classes, 1, DType::i64, index.device())), t);
}

}  // namespace fovea
