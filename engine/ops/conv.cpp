// SPDX-License-Identifier: Apache-2.0
// engine/ops/conv.cpp — convolution and its two gradients, which are each other's gradients; im2col and its adjoint.
#include <algorithm>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

void check_attrs(const Site& s, const ConvAttrs& a, int n) {
  for (const Dims* d : {&a.stride, &a.dilation, &a.pad_lo, &a.pad_hi})
    if (d->size() != n)
      s.fail(str_cat("stride=", a.stride, ", dilation=", a.dilation, ", pad=", a.pad_lo, " for ", n,
                     " spatial dimensions"));
  for (int i = 0; i < n; ++i) {
    if (a.stride[i] < 1 || a.dilation[i] < 1)
      s.fail(str_cat("stride=", a.stride, ", dilation=", a.dilation, ": both must be positive"));
    if (a.pad_lo[i] < 0 || a.pad_hi[i] < 0)
      s.fail(str_cat("pad=", a.pad_lo, " and ", a.pad_hi, " must not be negative"));
  }
  if (a.groups < 1) s.fail(str_cat("groups=", a.groups));
}

// The spatial size of y for x's; fails where the kernel does not fit.
Dims result_size(const Site& s, const ConvAttrs& a, const Dims& x, const Dims& kernel) {
  Dims y;
  for (int i = 0; i < x.size(); ++i) {
    const int64_t count = window_count(x[i], kernel[i], a.stride[i], a.dilation[i], a.pad_lo[i], a.pad_hi[i]);
    if (count < 1 || kernel[i] < 1)
      s.fail(str_cat("a kernel of ", kernel[i], " with dilation=", a.dilation[i], " does not fit into ", x[i],
                     " elements padded by ", a.pad_lo[i], " and ", a.pad_hi[i]));
    y.push_back(count);
  }
  return y;
}

int spatial_rank(const Site& s, int i, std::string_view name) {
  const int rank = s.operand(i).rank();
  if (rank < 3 || rank > 5)
    s.fail(str_cat(name, " must have 1 to 3 spatial dimensions, not shape ", s.operand(i).shape));
  return rank - 2;
}

Metas infer_conv(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  const int n = spatial_rank(s, 0, "x");
  s.want_floating(0);
  s.want_same_dtype();
  s.want_rank(1, n + 2);
  check_attrs(s, a, n);
  const Shape &x = s.operand(0).shape, &w = s.operand(1).shape;
  if (x[1] != w[1] * a.groups)
    s.fail(str_cat("x has ", x[1], " channels, but w ", w, " with groups=", a.groups, " takes ", w[1] * a.groups));
  if (w[0] % a.groups)
    s.fail(str_cat("w ", w, " gives ", w[0], " channels, which groups=", a.groups, " does not divide"));
  if (s.has(2) && s.operand(2).shape != Shape{w[0]})
    s.fail(str_cat("b has shape ", s.operand(2).shape, ", w ", w, " gives ", w[0], " channels"));
  const Shape y = with_spatial(x[0], w[0], result_size(s, a, spatial(x), spatial(w)));
  if (a.epilogue.residual != s.has(3) || (s.has(3) && s.operand(3).shape != y))
    s.fail(str_cat("the residual must be given with epilogue.residual and have shape ", y));
  return {dense_like(s.operand(0), y)};
}

// The attributes of a neighbour among conv, conv_dx and conv_dw.
ConvAttrs sized(const ConvAttrs& a, const Dims& size) {
  ConvAttrs out = a;
  out.size = size;
  return out;
}

Tensors vjp_conv(const Backward& b) {
  const auto& a = b.attrs<ConvAttrs>();
  if (!a.epilogue.empty()) throw Error(Error::Kind::internal, "conv: an epilogue has no gradient");
  const Tensor g = b.grad();
  Tensor gx, gw, gb;
  if (b.needs(0)) gx = call1(ops::conv_dx, {g, b.in(1)}, sized(a, spatial(b.in_meta(0).shape)));
  if (b.needs(1)) gw = call1(ops::conv_dw, {g, b.in(0)}, sized(a, spatial(b.in_meta(1).shape)));
  if (b.needs(2)) gb = sum(g, all_but_channels(g.rank()));
  return {gx, gw, gb};
}

Metas infer_conv_dx(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  const int n = spatial_rank(s, 0, "gy");
  s.want_floating(0);
  s.want_same_dtype();
  s.want_rank(1, n + 2);
  check_attrs(s, a, n);
  const Shape &gy = s.operand(0).shape, &w = s.operand(1).shape;
  if (a.size.size() != n) s.fail(str_cat("size=", a.size, " for ", n, " spatial dimensions"));
  if (gy[1] != w[0]) s.fail(str_cat("gy has ", gy[1], " channels, but w ", w, " has ", w[0], " rows"));
  if (w[0] % a.groups) s.fail(str_cat("groups=", a.groups, " does not divide the ", w[0], " rows of w ", w));
  const Dims expected = result_size(s, a, a.size, spatial(w));
  if (spatial(gy) != expected) s.fail(str_cat("gy covers ", spatial(gy), ", but size=", a.size, " gives ", expected));
  return {dense_like(s.operand(0), with_spatial(gy[0], w[1] * a.groups, a.size))};
}
Tensors vjp_conv_dx(const Backward& b) {
  const auto& a = b.attrs<ConvAttrs>();
  const Tensor g = b.grad();
  Tensor g_gy, gw;
  if (b.needs(0)) g_gy = call1(ops::conv, {g, b.in(1), Tensor()}, sized(a, {}));
  if (b.needs(1)) gw = call1(ops::conv_dw, {b.in(0), g}, sized(a, spatial(b.in_meta(1).shape)));
  return {g_gy, gw};
}

Metas infer_conv_dw(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  const int n = spatial_rank(s, 0, "gy");
  s.want_floating(0);
  s.want_same_dtype();
  s.want_rank(1, n + 2);
  check_attrs(s, a, n);
  const Shape &gy = s.operand(0).shape, &x = s.operand(1).shape;
  if (a.size.size() != n) s.fail(str_cat("size=", a.size, " for ", n, " spatial dimensions"));
  if (gy[0] != x[0]) s.fail(str_cat("gy has ", gy[0], " samples, x ", x[0]));
  if (gy[1] % a.groups || x[1] % a.groups)
    s.fail(str_cat("groups=", a.groups, " does not divide ", gy[1], " and ", x[1], " channels"));
  const Dims expected = result_size(s, a, spatial(x), a.size);
  if (spatial(gy) != expected)
    s.fail(str_cat("gy covers ", spatial(gy), ", but x and size=", a.size, " give ", expected));
  return {make_meta(s.operand(0).dtype, with_spatial(gy[1], x[1] / a.groups, a.size), Memory::contiguous,
                    s.operand(0).device)};
}
Tensors vjp_conv_dw(const Backward& b) {
  const auto& a = b.attrs<ConvAttrs>();
  const Tensor g = b.grad();
  Tensor g_gy, gx;
  if (b.needs(0)) g_gy = call1(ops::conv, {b.in(1), g, Tensor()}, sized(a, {}));
  if (b.needs(1)) gx = call1(ops::conv_dx, {b.in(0), g}, sized(a, spatial(b.in_meta(1).shape)));
  return {g_gy, gx};
}

int64_t windows_of(const Site& s, const UnfoldAttrs& a, const Dims& size) {
  int64_t n = 1;
  for (int i = 0; i < 2; ++i) {
    const int64_t count = a.kernel[i] < 1 || a.stride[i] < 1 || a.dilation[i] < 1 || a.pad[i] < 0
                              ? 0
                              : window_count(size[i], a.kernel[i], a.stride[i], a.dilation[i], a.pad[i], a.pad[i]);
    if (count < 1)
      s.fail(str_cat("no window of kernel=", a.kernel, ", stride=", a.stride, ", dilation=", a.dilation,
                     ", pad=", a.pad, " fits into ", size));
    n *= count;
  }
  return n;
}
void check_unfold(const Site& s, const UnfoldAttrs& a) {
  s.want_floating(0);
  for (const Dims* d : {&a.kernel, &a.stride, &a.pad, &a.dilation})
    if (d->size() != 2)
      s.fail(str_cat("kernel=", a.kernel, ", stride=", a.stride, ", pad=", a.pad, ", dilation=", a.dilation,
                     ": two entries each"));
}
Metas infer_unfold(const Site& s) {
  const auto& a = s.attrs<UnfoldAttrs>();
  s.want_rank(0, 4);
  check_unfold(s, a);
  const Meta& x = s.operand(0);
  return {make_meta(x.dtype, {x.shape[0], x.shape[1] * a.kernel[0] * a.kernel[1], windows_of(s, a, spatial(x.shape))},
                    Memory::contiguous, x.device)};
}
Tensors vjp_unfold(const Backward& b) {
  UnfoldAttrs a = b.attrs<UnfoldAttrs>();
  a.size = spatial(b.in_meta(0).shape);
  return {fold(b.grad(), a)};
}
Metas infer_fold(const Site& s) {
  const auto& a = s.attrs<UnfoldAttrs>();
  s.want_rank(0, 3);
  check_unfold(s, a);
  if (a.size.size() != 2) s.fail(str_cat("size=", a.size, ": two entries"));
  const Meta& x = s.operand(0);
  const int64_t windows = windows_of(s, a, a.size), area = a.kernel[0] * a.kernel[1];
  if (x.shape[2] != windows)
    s.fail(str_cat("x has ", x.shape[2], " columns, size=", a.size, " has ", windows, " windows"));
  if (x.shape[1] % area) s.fail(str_cat("x has ", x.shape[1], " rows, no multiple of the kernel's ", area));
  return {make_meta(x.dtype, {x.shape[0], x.shape[1] / area, a.size[0], a.size[1]}, Memory::contiguous, x.device)};
}
Tensors vjp_fold(const Backward& b) {
  UnfoldAttrs a = b.attrs<UnfoldAttrs>();
  a.size = {};
  return {unfold(b.grad(), a)};
}

int64_t work_conv_dx(const Site& s) { return s.operand(0).numel() * (s.operand(1).numel() / s.operand(1).dim(0)); }
int64_t work_conv_dw(const Site& s) { return s.operand(0).numel() * (s.result().numel() / s.result().dim(0)); }

}  // namespace

namespace ops {
constinit const OpDef conv{.signature = "conv(x, w, b?, residual?) -> y",
                           .infer = infer_conv,
                           .vjp = vjp_conv,
                           .saves = {.inputs = 0b11},
                           .role = Role::conv,
                           .work = weights_work,
                           .epilogue = {offsetof(ConvAttrs, epilogue), 3}};
constinit const OpDef conv_dx{.signature = "conv_dx(gy, w) -> gx",
                              .infer = infer_conv_dx,
                              .vjp = vjp_conv_dx,
                              .saves = {.inputs = 0b11},
                              .role = Role::conv,
                              .work = work_conv_dx};
constinit const OpDef conv_dw{.signature = "conv_dw(gy, x) -> gw",
                              .infer = infer_conv_dw,
                              .vjp = vjp_conv_dw,
                              .saves = {.inputs = 0b11},
                              .role = Role::conv,
                              .work = work_conv_dw};
constinit const OpDef unfold{
    .signature = "unfold(x) -> y", .infer = infer_unfold, .vjp = vjp_unfold, .role = Role::move};
constinit const OpDef fold{.signature = "fold(x) -> y", .infer = infer_fold, .vjp = vjp_fold, .role = Role::move};
}  // namespace ops

std::pair<int64_t, int64_t> same_padding(int64_t size, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t count = (size + stride - 1) / stride;
  const int64_t total = std::max<int64_t>((count - 1) * stride + dilation * (kernel - 1) + 1 - size, 0);
  return {total / 2, total - total / 2};
}

namespace {
// x and w must be known to have 1 to 3 spatial dimensions before options can be spread over them.
int checked_spatial_rank(const OpDef& op, const Tensor& x, const Tensor& w) {
  if (x.rank() < 3 || x.rank() > 5)
    reject(op, {x, w}, str_cat("x must have 1 to 3 spatial dimensions, not shape ", x.shape()));
  if (w.rank() != x.rank()) reject(op, {x, w}, str_cat("w must have rank ", x.rank(), ", not shape ", w.shape()));
  return x.rank() - 2;
}
}  // namespace

Tensor conv(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions& o) {
  const int n = checked_spatial_rank(ops::conv, x, w);
  ConvAttrs a;
  a.stride = per_axis(ops::conv, x, "stride", o.stride, n);
  a.dilation = per_axis(ops::conv, x, "dilation", o.dilation, n);
  a.pad_lo = per_axis(ops::conv, x, "pad", o.pad, n);
  a.pad_hi = o.pad_hi.empty() ? a.pad_lo : per_axis(ops::conv, x, "pad_hi", o.pad_hi, n);
  a.groups = o.groups;
  for (int i = 0; o.same && i < n; ++i) {
    if (a.stride[i] < 1) reject(ops::conv, {x, w}, str_cat("stride=", a.stride));
    const auto [lo, hi] = same_padding(x.dim(i + 2), w.dim(i + 2), a.stride[i], a.dilation[i]);
    a.pad_lo[i] = lo;
    a.pad_hi[i] = hi;
  }
  return call1(ops::conv, {x, w, b}, a);
}

Tensor conv_transpose(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions& o) {
  const int n = checked_spatial_rank(ops::conv_dx, x, w);
  ConvAttrs a;
  a.stride = per_axis(ops::conv_dx, x, "stride", o.stride, n);
  a.dilation = per_axis(ops::conv_dx, x, "dilation", o.dilation, n);
  a.pad_lo = a.pad_hi = per_axis(ops::conv_dx, x, "pad", o.pad, n);
  a.groups = o.groups;
  const Dims extra = per_axis(ops::conv_dx, x, "output_pad", o.output_pad, n);
  for (int i = 0; i < n; ++i)
    a.size.push_back((x.dim(i + 2) - 1) * a.stride[i] - 2 * a.pad_lo[i] + a.dilation[i] * (w.dim(i + 2) - 1) +
                     extra[i] + 1);
  const Tensor y = call1(ops::conv_dx, {x, w}, a);
  return b ? y + along_channels(b, y.rank()) : y;
}

Tensor unfold(const Tensor& x, const UnfoldAttrs& a) { return call1(ops::unfold, {x}, a); }
Tensor fold(const Tensor& x, const UnfoldAttrs& a) { return call1(ops::fold, {x}, a); }

}  // namespace fovea
