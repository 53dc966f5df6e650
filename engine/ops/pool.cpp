// SPDX-License-Identifier: Apache-2.0
// engine/ops/pool.cpp — largest element and mean of sliding windows, and of windows that divide the whole.
#include "engine/ops/rules.h"

namespace fovea {
namespace {

int spatial_rank(const Site& s) {
  const int rank = s.operand(0).rank();
  if (rank < 3 || rank > 5) s.fail(str_cat("x must have 1 to 3 spatial dimensions, not shape ", s.operand(0).shape));
  s.want_floating(0);
  return rank - 2;
}

Dims pooled_size(const Site& s, const PoolAttrs& a, const Dims& x) {
  const int n = x.size();
  for (const Dims* d : {&a.kernel, &a.stride, &a.pad_lo, &a.pad_hi, &a.dilation})
    if (d->size() != n)
      s.fail(str_cat("kernel=", a.kernel, ", stride=", a.stride, ", pad=", a.pad_lo, ", dilation=", a.dilation, " for ",
                     n, " spatial dimensions"));
  Dims y;
  for (int i = 0; i < n; ++i) {
    if (a.kernel[i] < 1 || a.stride[i] < 1 || a.dilation[i] < 1)
      s.fail(str_cat("kernel=", a.kernel, ", stride=", a.stride, ", dilation=", a.dilation, ": all must be positive"));
    const int64_t extent = a.dilation[i] * (a.kernel[i] - 1) + 1;
    if (a.pad_lo[i] < 0 || a.pad_hi[i] < 0 || a.pad_lo[i] > extent / 2 || a.pad_hi[i] > extent / 2)
      s.fail(str_cat("pad=", a.pad_lo[i], " and ", a.pad_hi[i], " must be at most half of the kernel's ", extent));
    y.push_back(window_count(x[i], a.kernel[i], a.stride[i], a.dilation[i], a.pad_lo[i], a.pad_hi[i], a.ceil_mode));
    if (y.back() < 1)
      s.fail(str_cat("a window of ", extent, " does not fit into ", x[i], " elements padded by ", a.pad_lo[i], " and ",
                     a.pad_hi[i]));
  }
  return y;
}
Shape with_size(const Shape& x, const Dims& size) { return with_spatial(x[0], x[1], size); }

// y and where its elements come from.
Metas with_indices(const Meta& x, const Shape& y) {
  Meta values = dense_like(x, y), indices = values;
  indices.dtype = DType::i64;
  return {values, indices};
}
Tensors vjp_largest(const Backward& b) {
  const Meta& x = b.in_meta(0);
  Meta rows = x;
  rows.shape = {x.shape[0], x.shape[1], numel(spatial(x.shape))};
  return {reshape(scatter_add(zeros_view(rows), 2, flatten(b.out(1), 2), flatten(b.grad(0), 2)), x.shape)};
}

Metas infer_max_pool(const Site& s) {
  spatial_rank(s);
  const Meta& x = s.operand(0);
  const auto& a = s.attrs<PoolAttrs>();
  Metas y = with_indices(x, with_size(x.shape, pooled_size(s, a, spatial(x.shape))));
  if (a.values_only) y.resize(1);
  return y;
}

void check_avg(const Site& s, const PoolAttrs& a) {
  for (int64_t d : a.dilation)
    if (d != 1) s.fail(str_cat("dilation=", a.dilation, " of a mean"));
  if (a.divisor < 0) s.fail(str_cat("divisor=", a.divisor));
}
Metas infer_avg_pool(const Site& s) {
  spatial_rank(s);
  const auto& a = s.attrs<PoolAttrs>();
  check_avg(s, a);
  const Meta& x = s.operand(0);
  return {dense_like(x, with_size(x.shape, pooled_size(s, a, spatial(x.shape))))};
}
Tensors vjp_avg_pool(const Backward& b) {
  PoolAttrs a = b.attrs<PoolAttrs>();
  a.size = spatial(b.in_meta(0).shape);
  return {call1(ops::avg_pool_dx, {b.grad()}, a)};
}
Metas infer_avg_pool_dx(const Site& s) {
  const int n = spatial_rank(s);
  const auto& a = s.attrs<PoolAttrs>();
  check_avg(s, a);
  const Meta& gy = s.operand(0);
  if (a.size.size() != n) s.fail(str_cat("size=", a.size, " for ", n, " spatial dimensions"));
  if (pooled_size(s, a, a.size) != spatial(gy.shape))
    s.fail(str_cat("gy covers ", spatial(gy.shape), ", but size=", a.size, " gives ", pooled_size(s, a, a.size)));
  return {dense_like(gy, with_size(gy.shape, a.size))};
}
Tensors vjp_avg_pool_dx(const Backward& b) {
  PoolAttrs a = b.attrs<PoolAttrs>();
  a.size = {};
  return {call1(ops::avg_pool, {b.grad()}, a)};
}

Shape adapted(const Site& s) {
  const int n = spatial_rank(s);
  const Dims& size = s.attrs<AdaptivePoolAttrs>().size;
  if (size.size() != n) s.fail(str_cat("size=", size, " for ", n, " spatial dimensions"));
  for (int64_t d : size)
    if (d < 1) s.fail(str_cat("size=", size, " must be positive"));
  if (numel(spatial(s.operand(0).shape)) == 0) s.fail("no elements to pool");
  return with_size(s.operand(0).shape, size);
}
Metas infer_adaptive_avg_pool(const Site& s) { return {dense_like(s.operand(0), adapted(s))}; }
Tensors vjp_adaptive_avg_pool(const Backward& b) {
  return {call1(ops::adaptive_avg_pool_dx, {b.grad()}, AdaptivePoolAttrs{spatial(b.in_meta(0).shape)})};
}
Tensors vjp_adaptive_avg_pool_dx(const Backward& b) {
  return {call1(ops::adaptive_avg_pool, {b.grad()}, AdaptivePoolAttrs{spatial(b.in_meta(0).shape)})};
}
Metas infer_adaptive_max_pool(const Site& s) { return with_indices(s.operand(0), adapted(s)); }

PoolAttrs attrs_of(const OpDef& op, const Tensor& x, const PoolOptions& o) {
  if (x.rank() < 3 || x.rank() > 5)
    reject(op, {x}, str_cat("x must have 1 to 3 spatial dimensions, not shape ", x.shape()));
  const int n = x.rank() - 2;
  PoolAttrs a;
  a.kernel = per_axis(op, x, "kernel", o.kernel, n);
  a.stride = o.stride.empty() ? a.kernel : per_axis(op, x, "stride", o.stride, n);
  a.dilation = per_axis(op, x, "dilation", o.dilation, n);
  a.pad_lo = per_axis(op, x, "pad", o.pad, n);
  a.pad_hi = o.pad_hi.empty() ? a.pad_lo : per_axis(op, x, "pad_hi", o.pad_hi, n);
  a.ceil_mode = o.ceil_mode;
  a.count_include_pad = o.count_include_pad;
  a.divisor = o.divisor;
  for (int i = 0; o.same && i < n; ++i) {
    if (a.stride[i] < 1) reject(op, {x}, str_cat("stride=", a.stride));
    const auto [lo, hi] = same_padding(x.dim(i + 2), a.kernel[i], a.stride[i], a.dilation[i]);
    a.pad_lo[i] = lo;
    a.pad_hi[i] = hi;
  }
  return a;
}

}  // namespace

namespace ops {
constinit const OpDef max_pool{.signature = "max_pool(x) -> y, indices",
                               .infer = infer_max_pool,
                               .vjp = vjp_largest,
                               .saves = {.outputs = 0b10},
                               .role = Role::pool};
constinit const OpDef avg_pool{
    .signature = "avg_pool(x) -> y", .infer = infer_avg_pool, .vjp = vjp_avg_pool, .role = Role::pool};
constinit const OpDef avg_pool_dx{
    .signature = "avg_pool_dx(gy) -> gx", .infer = infer_avg_pool_dx, .vjp = vjp_avg_pool_dx, .role = Role::pool};
constinit const OpDef adaptive_avg_pool{.signature = "adaptive_avg_pool(x) -> y",
                                        .infer = infer_adaptive_avg_pool,
                                        .vjp = vjp_adaptive_avg_pool,
                                        .role = Role::pool};
constinit const OpDef adaptive_avg_pool_dx{.signature = "adaptive_avg_pool_dx(gy) -> gx",
                                           .infer = infer_adaptive_avg_pool,
                                           .vjp = vjp_adaptive_avg_pool_dx,
                                           .role = Role::pool};
constinit const OpDef adaptive_max_pool{.signature = "adaptive_max_pool(x) -> y, indices",
                                        .infer = infer_adaptive_max_pool,
                                        .vjp = vjp_largest,
                                        .saves = {.outputs = 0b10},
                                        .role = Role::pool};
}  // namespace ops

Tensor max_pool(const Tensor& x, const PoolOptions& o) { return max_pool_indices(x, o).first; }
std::pair<Tensor, Tensor> max_pool_indices(const Tensor& x, const PoolOptions& o) {
  const Tensors out = call(ops::max_pool, {x}, attrs_of(ops::max_pool, x, o));
  return {out[0], out[1]};
}
Tensor avg_pool(const Tensor& x, const PoolOptions& o) {
  return call1(ops::avg_pool, {x}, attrs_of(ops::avg_pool, x, o));
}
Tensor adaptive_avg_pool(const Tensor& x, const Dims& size) {
  return call1(ops::adaptive_avg_pool, {x},
               AdaptivePoolAttrs{per_axis(ops::adaptive_avg_pool, x, "size", size, x.rank() - 2)});
}
Tensor adaptive_max_pool(const Tensor& x, const Dims& size) {
  return call1(ops::adaptive_max_pool, {x},
               AdaptivePoolAttrs{per_axis(ops::adaptive_max_pool, x, "size", size, x.rank() - 2)});
}

}  // namespace fovea
