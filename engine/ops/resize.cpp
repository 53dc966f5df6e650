// SPDX-License-Identifier: Apache-2.0
// engine/ops/resize.cpp — interpolation to another size, and its adjoint.
#include <array>
#include <cmath>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, 3> kInterpolationNames{"nearest", "linear", "cubic"};

Metas infer_interpolate(const Site& s) {
  const auto& a = s.attrs<InterpolateAttrs>();
  const Meta& x = s.operand(0);
  if (x.rank() < 3 || x.rank() > 5) s.fail(str_cat("x must have 1 to 3 spatial dimensions, not shape ", x.shape));
  const int n = x.rank() - 2;
  s.want_floating(0);
  if (a.size.size() != n) s.fail(str_cat("size=", a.size, " for ", n, " spatial dimensions"));
  for (int64_t d : a.size)
    if (d < 1) s.fail(str_cat("size=", a.size, " must be positive"));
  if (numel(spatial(x.shape)) == 0) s.fail("no elements to interpolate");
  if (a.mode == Interpolation::cubic && n != 2)
    s.fail(str_cat("cubic interpolation is for images, not shape ", x.shape));
  if (a.antialias && (n != 2 || a.mode == Interpolation::nearest))
    s.fail(str_cat("antialias is for linear and cubic interpolation of images, not ", name_of(a.mode), " of shape ",
                   x.shape));
  if (a.align_corners && a.mode == Interpolation::nearest) s.fail("align_corners with nearest");
  for (double v : a.scale)
    if (!(v >= 0) || std::isinf(v)) s.fail(str_cat("scale ", v));
  return {dense_like(x, with_spatial(x.shape[0], x.shape[1], a.size))};
}

// Either way the other op goes back to the operand's size.
InterpolateAttrs back(const Backward& b) {
  InterpolateAttrs a = b.attrs<InterpolateAttrs>();
  a.size = spatial(b.in_meta(0).shape);
  return a;
}
Tensors vjp_interpolate(const Backward& b) { return {call1(ops::interpolate_dx, {b.grad()}, back(b))}; }
Tensors vjp_interpolate_dx(const Backward& b) { return {call1(ops::interpolate, {b.grad()}, back(b))}; }

}  // namespace

namespace ops {
constinit const OpDef interpolate{
    .signature = "interpolate(x) -> y", .infer = infer_interpolate, .vjp = vjp_interpolate, .role = Role::pool};
constinit const OpDef interpolate_dx{
    .signature = "interpolate_dx(gy) -> gx", .infer = infer_interpolate, .vjp = vjp_interpolate_dx, .role = Role::pool};
}  // namespace ops

std::string_view name_of(Interpolation m) { return kInterpolationNames[static_cast<size_t>(m)]; }

Tensor interpolate(const Tensor& x, const Dims& size, const InterpolateOptions& o) {
  if (x.rank() < 3 || x.rank() > 5)
    reject(ops::interpolate, {x}, str_cat("x must have 1 to 3 spatial dimensions, not shape ", x.shape()));
  const int n = x.rank() - 2;
  InterpolateAttrs a{o.mode, o.align_corners, o.antialias, {}, {}};
  if (o.scale.size() > 1 && o.scale.size() != static_cast<size_t>(n))
    reject(ops::interpolate, {x}, str_cat(o.scale.size(), " scales for ", n, " spatial dimensions"));
  for (int i = 0; i < n && !o.scale.empty(); ++i)
    a.scale[static_cast<size_t>(i)] = o.scale[o.scale.size() == 1 ? 0 : static_cast<size_t>(i)];
  if (!size.empty()) a.size = per_axis(ops::interpolate, x, "size", size, n);
  else if (o.scale.empty()) reject(ops::interpolate, {x}, "neither size nor scale is given");
  for (int i = 0; i < n && size.empty(); ++i)
    a.size.push_back(
        static_cast<int64_t>(std::floor(static_cast<double>(x.dim(i + 2)) * a.scale[static_cast<size_t>(i)])));
  return call1(ops::interpolate, {x}, a);
}

}  // namespace fovea
