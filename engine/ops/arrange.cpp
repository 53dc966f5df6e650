// SPDX-License-Identifier: Apache-2.0
// engine/ops/arrange.cpp — elements put elsewhere: cat, pad, flip, roll and what is written with them.
#include <array>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, 4> kPadNames{"constant", "reflect", "replicate", "circular"};

Metas infer_cat(const Site& s) {
  const int dim = s.axis("dim", s.attrs<AxisAttrs>().dim);
  s.want_same_dtype();
  Shape y = s.operand(0).shape;
  for (size_t i = 1; i < s.in.size(); ++i) {
    const Shape& x = s.in[i].shape;
    bool fits = x.size() == y.size();
    for (int d = 0; fits && d < y.size(); ++d) fits = d == dim || x[d] == y[d];
    if (!fits)
      s.fail(str_cat("xs", i, " has shape ", x, ", xs0 ", s.operand(0).shape, "; only dim ", dim, " may differ"));
    y[dim] += x[dim];
  }
  return {dense_like(s.operand(0), y)};
}
Tensors vjp_cat(const Backward& b) {
  const int dim = b.attrs<AxisAttrs>().dim;
  const Tensor g = b.grad();
  Tensors out;
  int64_t at = 0;
  for (int i = 0; i < b.inputs(); ++i) {
    const int64_t size = b.in_meta(i).shape[dim];
    out.push_back(b.needs(i) ? narrow(g, dim, at, size) : Tensor());
    at += size;
  }
  return out;
}

void check_pad(const Site& s, const Shape& x, const PadAttrs& a) {
  if (a.lo.size() != x.size() || a.hi.size() != x.size())
    s.fail(str_cat("amounts ", a.lo, " and ", a.hi, " for ", x.size(), " dimensions"));
  for (int i = 0; i < x.size(); ++i) {
    const int64_t lo = a.lo[i], hi = a.hi[i], most = lo > hi ? lo : hi;
    if (x[i] + lo + hi < 0 || lo < -x[i] || hi < -x[i])
      s.fail(str_cat("amounts ", lo, " and ", hi, " crop more than the ", x[i], " elements of dim ", i));
    if (a.mode == PadMode::constant || (lo == 0 && hi == 0)) continue;
    if (lo < 0 || hi < 0)
      s.fail(str_cat("mode ", name_of(a.mode), " with negative amounts ", lo, " and ", hi, " along dim ", i));
    if (a.mode == PadMode::replicate ? x[i] == 0 : a.mode == PadMode::reflect ? most >= x[i] : most > x[i])
      s.fail(str_cat("mode ", name_of(a.mode), " with amounts ", lo, " and ", hi, " of the ", x[i], " elements of dim ",
                     i));
  }
}
Metas infer_pad(const Site& s) {
  const auto& a = s.attrs<PadAttrs>();
  Shape y = s.operand(0).shape;
  check_pad(s, y, a);
  for (int i = 0; i < y.size(); ++i) y[i] += a.lo[i] + a.hi[i];
  return {dense_like(s.operand(0), y)};
}
Tensors vjp_pad(const Backward& b) {
  PadAttrs a = b.attrs<PadAttrs>();
  a.value = 0;
  return {call1(ops::pad_dx, {b.grad()}, a)};
}
Metas infer_pad_dx(const Site& s) {
  const auto& a = s.attrs<PadAttrs>();
  Shape x = s.operand(0).shape;
  if (a.lo.size() != x.size() || a.hi.size() != x.size())
    s.fail(str_cat("amounts ", a.lo, " and ", a.hi, " for ", x.size(), " dimensions"));
  for (int i = 0; i < x.size(); ++i) x[i] -= a.lo[i] + a.hi[i];
  check_pad(s, x, a);
  return {dense_like(s.operand(0), x)};
}
Tensors vjp_pad_dx(const Backward& b) { return {call1(ops::pad, {b.grad()}, b.attrs<PadAttrs>())}; }

Metas infer_unslice(const Site& s) {
  const auto& a = s.attrs<SliceAttrs>();
  const int dim = s.axis("dim", a.dim);
  const int64_t count = s.operand(0).shape[dim];
  if (a.start < 0 || a.start > a.stop || a.stop > a.size || a.step < 1 || step_count(a) != count)
    s.fail(str_cat("start=", a.start, ", stop=", a.stop, ", step=", a.step, " of ", a.size, " is no place for ", count,
                   " elements"));
  return {dense_like(s.operand(0), with_dim(s.operand(0).shape, dim, a.size))};
}
Tensors vjp_unslice(const Backward& b) {
  const auto& a = b.attrs<SliceAttrs>();
  return {slice(b.grad(), a.dim, a.start, a.stop, a.step)};
}

Metas infer_flip(const Site& s) {
  for (int64_t axis : s.attrs<DimsAttrs>().axes) s.axis("dim", axis);
  return same_as(s.operand(0));
}
Tensors vjp_flip(const Backward& b) { return {flip(b.grad(), b.attrs<DimsAttrs>().axes)}; }
Metas infer_roll(const Site& s) {
  const auto& a = s.attrs<DimsAttrs>();
  if (a.axes.size() != a.shifts.size()) s.fail(str_cat("shifts=", a.shifts, " for dims=", a.axes));
  for (int64_t axis : a.axes) s.axis("dim", axis);
  return same_as(s.operand(0));
}
Tensors vjp_roll(const Backward& b) {
  const auto& a = b.attrs<DimsAttrs>();
  Dims back;
  for (int64_t v : a.shifts) back.push_back(-v);
  return {roll(b.grad(), back, a.axes)};
}

}  // namespace

namespace ops {
constinit const OpDef cat{.signature = "cat(xs...) -> y", .infer = infer_cat, .vjp = vjp_cat, .role = Role::move};
constinit const OpDef pad{.signature = "pad(x) -> y", .infer = infer_pad, .vjp = vjp_pad, .role = Role::move};
constinit const OpDef pad_dx{
    .signature = "pad_dx(gy) -> gx", .infer = infer_pad_dx, .vjp = vjp_pad_dx, .role = Role::move};
constinit const OpDef unslice{
    .signature = "unslice(gy) -> gx", .infer = infer_unslice, .vjp = vjp_unslice, .role = Role::move};
constinit const OpDef flip{.signature = "flip(x) -> y", .infer = infer_flip, .vjp = vjp_flip, .role = Role::move};
constinit const OpDef roll{.signature = "roll(x) -> y", .infer = infer_roll, .vjp = vjp_roll, .role = Role::move};
}  // namespace ops

std::string_view name_of(PadMode m) { return kPadNames[static_cast<size_t>(m)]; }

Tensor cat(std::span<const Tensor> xs, int dim) {
  if (xs.empty()) throw Error(Error::Kind::argument, "cat of no tensors");
  const AxisAttrs a{axis_of(ops::cat, xs[0], dim)};
  return xs.size() == 1 ? xs[0] : call(ops::cat, xs, AttrsRef::of(a))[0];
}
Tensor stack(std::span<const Tensor> xs, int dim) {
  if (xs.empty()) throw Error(Error::Kind::argument, "stack of no tensors");
  const int at = axis_of(ops::cat, xs[0], dim, 1);
  Tensors rows;
  for (const Tensor& x : xs) {
    if (x.shape() != xs[0].shape())
      reject(ops::cat, {xs[0], x}, str_cat("stack of shapes ", xs[0].shape(), " and ", x.shape()));
    rows.push_back(unsqueeze(x, at));
  }
  return cat(std::span<const Tensor>(rows), at);
}

Tensor repeat(const Tensor& x, const Dims& times) {
  const int lead = times.size() - x.rank();
  if (lead < 0) reject(ops::cat, {x}, str_cat("repeat ", times, " times for ", x.rank(), " dimensions"));
  Tensor y = x;
  for (int i = 0; i < lead; ++i) y = unsqueeze(y, 0);
  for (int i = 0; i < times.size(); ++i) {
    if (times[i] < 0) reject(ops::cat, {x}, str_cat("repeat ", times, " times"));
    if (times[i] == 1) continue;
    Shape wide = y.shape();
    wide.insert(i, times[i]);
    y = flatten(expand(unsqueeze(y, i), wide), i, i + 1);
  }
  return y;
}
Tensor repeat_interleave(const Tensor& x, int64_t times, int dim) {
  const int at = axis_of(ops::cat, x, dim);
  if (times < 0) reject(ops::cat, {x}, str_cat("repeat_interleave ", times, " times"));
  Shape wide = x.shape();
  wide.insert(at + 1, times);
  return flatten(expand(unsqueeze(x, at + 1), wide), at, at + 1);
}

Tensor pad(const Tensor& x, const Dims& lo, const Dims& hi, PadMode mode, float value) {
  const Dims none = Dims::filled(x.rank(), 0);
  return lo == none && hi == none ? x : call1(ops::pad, {x}, PadAttrs{lo, hi, mode, value});
}
Tensor pad_last(const Tensor& x, const std::vector<int64_t>& amounts, PadMode mode, float value) {
  if (amounts.size() % 2 || amounts.size() / 2 > static_cast<size_t>(x.rank()))
    reject(ops::pad, {x}, str_cat(amounts.size(), " amounts for ", x.rank(), " dimensions"));
  Dims lo = Dims::filled(x.rank(), 0), hi = lo;
  for (size_t i = 0; i + 1 < amounts.size(); i += 2) {
    const int dim = x.rank() - 1 - static_cast<int>(i / 2);
    lo[dim] = amounts[i];
    hi[dim] = amounts[i + 1];
  }
  return pad(x, lo, hi, mode, value);
}

Tensor flip(const Tensor& x, const Dims& dims) {
  return dims.empty() ? x : call1(ops::flip, {x}, DimsAttrs{axes_of(ops::flip, x, dims), {}});
}
Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  Dims axes;
  for (int64_t d : dims) axes.push_back(axis_of(ops::roll, x, d));
  return axes.empty() && shifts.empty() ? x : call1(ops::roll, {x}, DimsAttrs{axes, shifts});
}

Tensor pixel_shuffle(const Tensor& x, int64_t factor) {
  if (x.rank() != 4 || factor < 1 || factor > x.dim(1) || x.dim(1) % (factor * factor))
    reject(ops::permute, {x}, str_cat("pixel_shuffle by ", factor, " of shape ", x.shape()));
  const int64_t n = x.dim(0), c = x.dim(1) / (factor * factor), h = x.dim(2), w = x.dim(3);
  return reshape(permute(reshape(x, {n, c, factor, factor, h, w}), {0, 1, 4, 2, 5, 3}), {n, c, h * factor, w * factor});
}
Tensor pixel_unshuffle(const Tensor& x, int64_t factor) {
  if (x.rank() != 4 || factor < 1 || x.dim(2) % factor || x.dim(3) % factor)
    reject(ops::permute, {x}, str_cat("pixel_unshuffle by ", factor, " of shape ", x.shape()));
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2) / factor, w = x.dim(3) / factor;
  return reshape(permute(reshape(x, {n, c, h, factor, w, factor}), {0, 1, 3, 5, 2, 4}), {n, c * factor * factor, h, w});
}

Tensor zeros_like(const Tensor& x) { return zeros_of(x.meta()); }
Tensor ones_like(const Tensor& x) { return ones(x.shape(), x.dtype(), x.device()); }

}  // namespace fovea
