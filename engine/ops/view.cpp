// SPDX-License-Identifier: Apache-2.0
// engine/ops/view.cpp — other shapes, strides and offsets of the same bytes; and copy, which makes bytes dense again.
#include <algorithm>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

Meta seen_as(const Meta& x, const Shape& s, const Strides& strides) { return {x.dtype, x.device, s, strides}; }

Metas infer_reshape(const Site& s) {
  const Meta& x = s.operand(0);
  const Shape& wanted = s.attrs<ShapeAttrs>().shape;
  if (std::any_of(wanted.begin(), wanted.end(), [](int64_t d) { return d < 0; }) || numel(wanted) != x.numel())
    s.fail(str_cat("x has ", x.numel(), " elements, shape ", wanted, " has another number"));
  const std::optional<Strides> strides = reshape_strides(x, wanted);
  if (!strides) s.fail(str_cat("no strides show x as ", wanted, "; contiguous() it first"));
  return {seen_as(x, wanted, *strides)};
}
Tensors vjp_reshape(const Backward& b) { return {reshape(b.grad(), b.in_meta(0).shape)}; }

Metas infer_permute(const Site& s) {
  const Meta& x = s.operand(0);
  const Dims& order = s.attrs<PermuteAttrs>().order;
  Meta y = seen_as(x, {}, {});
  Dims met = Dims::filled(x.rank(), 0);
  for (int64_t d : order) {
    if (d < 0 || d >= x.rank() || met[static_cast<int>(d)]++) break;
    y.shape.push_back(x.shape[static_cast<int>(d)]);
    y.strides.push_back(x.strides[static_cast<int>(d)]);
  }
  if (order.size() != x.rank() || y.rank() != x.rank())
    s.fail(str_cat("order=", order, " is no permutation of ", x.rank(), " dimensions"));
  return {y};
}
Tensors vjp_permute(const Backward& b) {
  const Dims& order = b.attrs<PermuteAttrs>().order;
  Dims back = Dims::filled(order.size(), 0);
  for (int i = 0; i < order.size(); ++i) back[static_cast<int>(order[i])] = i;
  return {permute(b.grad(), back)};
}

Metas infer_slice(const Site& s) {
  const auto& a = s.attrs<SliceAttrs>();
  const int dim = s.axis("dim", a.dim);
  Meta y = s.operand(0);
  if (a.start < 0 || a.start > a.stop || a.stop > y.shape[dim] || a.step < 1)
    s.fail(str_cat("start=", a.start, ", stop=", a.stop, ", step=", a.step, " of ", y.shape[dim],
                   " elements along dim ", dim));
  y.shape[dim] = step_count(a);
  if (y.shape[dim] > 1) y.strides[dim] *= a.step;
  return {y};
}
int64_t offset_slice(const Site& s) {
  const auto& a = s.attrs<SliceAttrs>();
  return s.result().numel() ? a.start * s.operand(0).strides[a.dim] : 0;
}
Tensors vjp_slice(const Backward& b) {
  SliceAttrs a = b.attrs<SliceAttrs>();
  a.size = b.in_meta(0).shape[a.dim];
  return {call1(ops::unslice, {b.grad()}, a)};
}

Metas infer_expand(const Site& s) {
  const Meta& x = s.operand(0);
  const Shape& wanted = s.attrs<ShapeAttrs>().shape;
  const int lead = wanted.size() - x.rank();
  Strides strides = Dims::filled(wanted.size(), 0);
  bool fits = lead >= 0;
  for (int i = 0; fits && i < x.rank(); ++i) {
    if (x.shape[i] == wanted[lead + i]) strides[lead + i] = x.strides[i];
    else fits = x.shape[i] == 1 && wanted[lead + i] >= 0;
  }
  for (int i = 0; i < lead; ++i) fits &= wanted[i] >= 0;
  if (!fits) s.fail(str_cat("shape ", x.shape, " does not expand to ", wanted));
  return {seen_as(x, wanted, strides)};
}
Tensors vjp_expand(const Backward& b) { return {sum_to(b.grad(), b.in_meta(0).shape)}; }

int64_t at_start(const Site&) { return 0; }

Metas infer_copy(const Site& s) {
  const Meta& x = s.operand(0);
  return {make_meta(x.dtype, x.shape, s.attrs<CopyAttrs>().memory, x.device)};
}
Tensors vjp_copy(const Backward& b) { return {b.grad()}; }

}  // namespace

namespace ops {
constinit const OpDef reshape{.signature = "reshape(x) -> y",
                              .infer = infer_reshape,
                              .vjp = vjp_reshape,
                              .traits = {.view = true},
                              .offset = at_start};
constinit const OpDef permute{.signature = "permute(x) -> y",
                              .infer = infer_permute,
                              .vjp = vjp_permute,
                              .traits = {.view = true},
                              .offset = at_start};
constinit const OpDef slice{.signature = "slice(x) -> y",
                            .infer = infer_slice,
                            .vjp = vjp_slice,
                            .traits = {.view = true},
                            .offset = offset_slice};
constinit const OpDef expand{.signature = "expand(x) -> y",
                             .infer = infer_expand,
                             .vjp = vjp_expand,
                             .traits = {.view = true},
                             .offset = at_start};
constinit const OpDef copy{.signature = "copy(x) -> y", .infer = infer_copy, .vjp = vjp_copy, .role = Role::move};
}  // namespace ops

namespace {
// Of the sizes that are given: -1 stands for one that is not.
int64_t known_elements(const Shape& s) {
  Shape given = s;
  std::replace(given.begin(), given.end(), int64_t{-1}, int64_t{1});
  return numel(given);
}
}  // namespace

Tensor reshape(const Tensor& x, const Shape& s) {
  Shape wanted = s;
  int open = -1;
  for (int i = 0; i < s.size(); ++i) {
    if (s[i] != -1) continue;
    if (open >= 0) reject(ops::reshape, {x}, str_cat("shape ", s, " leaves two sizes open"));
    open = i;
  }
  if (open >= 0) {
    const int64_t known = known_elements(s);
    if (known <= 0 || x.numel() % known)
      reject(ops::reshape, {x}, str_cat("no size for the -1 in ", s, " gives ", x.numel(), " elements"));
    wanted[open] = x.numel() / known;
  }
  if (wanted == x.shape()) return x;
  const bool fits = numel(wanted) == x.numel() && !reshape_strides(x.meta(), wanted);
  return call1(ops::reshape, {fits ? contiguous(x) : x}, ShapeAttrs{wanted});
}

Tensor permute(const Tensor& x, const Dims& order) {
  Dims axes;
  bool moves = false;
  for (int64_t d : order) {
    axes.push_back(d < 0 ? d + x.rank() : d);
    moves |= axes.back() != axes.size() - 1;
  }
  return moves || axes.size() != x.rank() ? call1(ops::permute, {x}, PermuteAttrs{axes}) : x;
}

Tensor transpose(const Tensor& x, int a, int b) {
  const int i = axis_of(ops::permute, x, a), j = axis_of(ops::permute, x, b);
  Dims order;
  for (int k = 0; k < x.rank(); ++k) order.push_back(k == i ? j : k == j ? i : k);
  return permute(x, order);
}

Tensor slice(const Tensor& x, int dim, int64_t start, int64_t stop, int64_t step) {
  const int at = axis_of(ops::slice, x, dim);
  const int64_t size = x.shape()[at];
  const auto inside = [size](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + size : v, 0, size); };
  const int64_t from = inside(start), to = std::max(inside(stop), from);
  if (step < 1) reject(ops::slice, {x}, str_cat("step=", step, "; flip() goes backwards"));
  return from == 0 && to == size && step == 1 ? x : call1(ops::slice, {x}, SliceAttrs{at, from, to, step});
}

Tensor narrow(const Tensor& x, int dim, int64_t start, int64_t length) {
  const int at = axis_of(ops::slice, x, dim);
  if (start < 0 || length < 0 || length > x.shape()[at] || start > x.shape()[at] - length)
    reject(ops::slice, {x}, str_cat(length, " elements from ", start, " on of ", x.shape()[at], " along dim ", at));
  return slice(x, at, start, start + length);
}

Tensor select(const Tensor& x, int dim, int64_t index) {
  const int at = axis_of(ops::slice, x, dim);
  const int64_t size = x.shape()[at], i = index < 0 ? index + size : index;
  if (i < 0 || i >= size) reject(ops::slice, {x}, str_cat("element ", index, " of ", size, " along dim ", at));
  return squeeze(narrow(x, at, i, 1), at);
}

Tensor expand(const Tensor& x, const Shape& s) {
  Shape wanted = s;
  const int lead = s.size() - x.rank();
  for (int i = std::max(lead, 0); i < s.size(); ++i)
    if (wanted[i] == -1) wanted[i] = x.shape()[i - lead];
  return wanted == x.shape() ? x : call1(ops::expand, {x}, ShapeAttrs{wanted});
}
Tensor expand_as(const Tensor& x, const Tensor& like) { return expand(x, like.shape()); }

Tensor squeeze(const Tensor& x, int dim) {
  const int at = axis_of(ops::reshape, x, dim);
  if (x.shape()[at] != 1)
    reject(ops::reshape, {x}, str_cat("squeeze of dim ", dim, ", which has size ", x.shape()[at]));
  Shape s = x.shape();
  s.erase(at);
  return reshape(x, s);
}
Tensor unsqueeze(const Tensor& x, int dim) {
  const int at = axis_of(ops::reshape, x, dim, 1);
  Shape s = x.shape();
  s.insert(at, 1);
  return reshape(x, s);
}
Tensor flatten(const Tensor& x, int first, int last) {
  if (x.rank() == 0) return reshape(x, {1});
  const int from = axis_of(ops::reshape, x, first), to = axis_of(ops::reshape, x, last);
  Shape s(x.shape().begin(), x.shape().begin() + from);
  s.push_back(numel(Shape(x.shape().begin() + from, x.shape().begin() + std::max(from, to + 1))));
  for (int i = std::max(from, to) + 1; i < x.rank(); ++i) s.push_back(x.shape()[i]);
  return reshape(x, s);
}
Tensor unflatten(const Tensor& x, int dim, const Shape& sizes) {
  const int at = axis_of(ops::reshape, x, dim);
  Shape s(x.shape().begin(), x.shape().begin() + at);
  const int64_t known = known_elements(sizes);
  for (int64_t d : sizes) s.push_back(d == -1 && known > 0 ? x.shape()[at] / known : d);
  for (int i = at + 1; i < x.rank(); ++i) s.push_back(x.shape()[i]);
  return reshape(x, s);
}

Tensor contiguous(const Tensor& x, Memory m) {
  const Meta& meta = x.meta();
  if (m == Memory::contiguous || meta.rank() < 3 || meta.rank() > 5) {
    if (meta.is_contiguous()) return x;
  } else if (meta.is_channels_last() || meta.strides == channels_last_strides(meta.shape)) {
    return x;
  }
  return call1(ops::copy, {x}, CopyAttrs{m});
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int dim) {
  if (size < 1) reject(ops::slice, {x}, str_cat("split into pieces of ", size));
  std::vector<int64_t> sizes;
  for (int64_t left = x.dim(dim); left > 0; left -= size) sizes.push_back(std::min(size, left));
  return split(x, sizes, dim);
}
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int dim) {
  std::vector<Tensor> out;
  int64_t at = 0;
  for (int64_t size : sizes) {
    out.push_back(narrow(x, dim, at, size));
    at += size;
  }
  if (at != x.dim(dim))
    reject(ops::slice, {x}, str_cat("split sizes add up to ", at, ", dim ", dim, " has ", x.dim(dim)));
  return out;
}
std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int dim) {
  if (pieces < 1) reject(ops::slice, {x}, str_cat("chunk into ", pieces, " pieces"));
  return split(x, std::max<int64_t>(1, (x.dim(dim) + pieces - 1) / pieces), dim);
}
std::vector<Tensor> unbind(const Tensor& x, int dim) {
  std::vector<Tensor> out;
  for (int64_t i = 0; i < x.dim(dim); ++i) out.push_back(select(x, dim, i));
  return out;
}

}  // namespace fovea
