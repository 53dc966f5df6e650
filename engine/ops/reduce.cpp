// SPDX-License-Identifier: Apache-2.0
// engine/ops/reduce.cpp — along axes: sums and extremes, arg-reductions, cumulative sums, the k largest, softmax.
#include <array>

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, 8> kReduceNames{"sum",  "mean", "max", "min",
                                                       "prod", "any",  "all", "sum_squares"};

Shape without(const Shape& s, const Dims& axes, bool keepdim) {
  Shape out = s;
  for (int i = axes.size() - 1; i >= 0; --i) {
    const int at = static_cast<int>(axes[i]);
    if (keepdim) out[at] = 1;
    else out.erase(at);
  }
  return out;
}
// g, the gradient of a reduction of x, with the reduced axes back as 1.
Tensor with_axes(const Tensor& g, const Meta& x, const Dims& axes) { return reshape(g, without(x.shape, axes, true)); }
int64_t count_along(const Shape& s, const Dims& axes) {
  int64_t n = 1;
  for (int64_t a : axes) n *= s[static_cast<int>(a)];
  return n;
}
Meta result_like(const Meta& x, const Shape& s, bool keepdim, DType t) {
  return make_meta(t, s, keepdim ? x.memory() : Memory::contiguous, x.device);
}

Metas infer_reduce(const Site& s) {
  const auto& a = s.attrs<ReduceAttrs>();
  const Meta& x = s.operand(0);
  for (int64_t axis : a.axes) s.axis("dim", axis);
  DType t = x.dtype;
  if (a.fn == Reduce::any || a.fn == Reduce::all) t = DType::boolean;
  else if (a.fn == Reduce::mean || a.fn == Reduce::sum_squares) s.want_floating(0);
  else if (!is_floating(t) && (a.fn == Reduce::sum || a.fn == Reduce::prod)) t = DType::i64;
  const bool extreme = a.fn == Reduce::max || a.fn == Reduce::min;
  if (extreme && count_along(x.shape, a.axes) == 0) s.fail(str_cat(name_of(a.fn), " over no elements, dims ", a.axes));
  return {result_like(x, without(x.shape, a.axes, a.keepdim), a.keepdim, t)};
}

// The product of all other elements, also where some are zero.
Tensor prod_gradient(const Tensor& x, const Dims& axes) {
  const Tensor zero = equal(x, 0.0), none = scalar(0, x), rest = where(zero, scalar(1, x), x);
  const Tensor zeros_met = sum(cast(zero, x.dtype()), axes, keep_dims), others = prod(rest, axes, keep_dims);
  return where(zero, where(equal(zeros_met, 1.0), others, none), where(equal(zeros_met, 0.0), others / rest, none));
}

Tensors vjp_reduce(const Backward& b) {
  const auto& a = b.attrs<ReduceAttrs>();
  const Meta& x = b.in_meta(0);
  if (a.fn == Reduce::any || a.fn == Reduce::all) return {Tensor()};
  const Tensor g = with_axes(b.grad(), x, a.axes);
  switch (a.fn) {
    case Reduce::sum: return {expand(g, x.shape)};
    case Reduce::mean: return {expand(g * (1.0 / static_cast<double>(count_along(x.shape, a.axes))), x.shape)};
    case Reduce::sum_squares: return {b.in(0) * (g * 2.0)};
    case Reduce::prod: return {g * prod_gradient(b.in(0), a.axes)};
    default: {  // equal extremes share the gradient, as in PyTorch
      const Tensor is_extreme = cast(equal(b.in(0), with_axes(b.out(), x, a.axes)), x.dtype);
      return {is_extreme * (g / sum(is_extreme, a.axes, keep_dims))};
    }
  }
}

Saves saves_reduce(AttrsRef attrs) {
  switch (attrs.as<ReduceAttrs>().fn) {
    case Reduce::max:
    case Reduce::min: return {.inputs = 0b1, .outputs = 0b1};
    case Reduce::prod:
    case Reduce::sum_squares: return {.inputs = 0b1};
    default: return {};
  }
}

Metas infer_argreduce(const Site& s) {
  const auto& a = s.attrs<ArgReduceAttrs>();
  const int dim = s.axis("dim", a.dim);
  const Meta& x = s.operand(0);
  if (x.shape[dim] == 0) s.fail(str_cat("the ", a.largest ? "largest" : "smallest", " of no elements along dim ", dim));
  return {result_like(x, without(x.shape, {dim}, a.keepdim), a.keepdim, DType::i64)};
}

Metas infer_cumsum(const Site& s) {
  s.axis("dim", s.attrs<AxisAttrs>().dim);
  Metas out = same_as(s.operand(0));
  if (!is_floating(out[0].dtype)) out[0].dtype = DType::i64;
  return out;
}
Tensors vjp_cumsum(const Backward& b) {
  const int dim = b.attrs<AxisAttrs>().dim;
  return {flip(cumsum(flip(b.grad(), {dim}), dim), {dim})};
}

Metas infer_topk(const Site& s) {
  const auto& a = s.attrs<TopkAttrs>();
  const int dim = s.axis("dim", a.dim);
  const Meta& x = s.operand(0);
  if (a.k < 0 || a.k > x.shape[dim]) s.fail(str_cat("k=", a.k, " of ", x.shape[dim], " elements along dim ", dim));
  Meta values = dense_like(x, with_dim(x.shape, dim, a.k)), indices = values;
  indices.dtype = DType::i64;
  return {values, indices};
}
Tensors vjp_topk(const Backward& b) {
  return {scatter_add(zeros_view(b.in_meta(0)), b.attrs<TopkAttrs>().dim, b.out(1), b.grad(0))};
}

Metas infer_softmax(const Site& s) {
  s.want_floating(0);
  s.axis("dim", s.attrs<AxisAttrs>().dim);
  return same_as(s.operand(0));
}
Tensors vjp_softmax(const Backward& b) {
  const Tensor y = b.out(), gy = b.grad() * y;
  return {gy - y * sum(gy, {b.attrs<AxisAttrs>().dim}, keep_dims)};
}
Tensors vjp_log_softmax(const Backward& b) {
  const Tensor g = b.grad();
  return {g - exp(b.out()) * sum(g, {b.attrs<AxisAttrs>().dim}, keep_dims)};
}

}  // namespace

namespace ops {
constinit const OpDef reduce{.signature = "reduce(x) -> y",
                             .infer = infer_reduce,
                             .vjp = vjp_reduce,
                             .saves_for = saves_reduce,
                             .role = Role::pool};
constinit const OpDef argreduce{.signature = "argreduce(x) -> index", .infer = infer_argreduce, .role = Role::pool};
constinit const OpDef cumsum{
    .signature = "cumsum(x) -> y", .infer = infer_cumsum, .vjp = vjp_cumsum, .role = Role::pool};
constinit const OpDef topk{.signature = "topk(x) -> values, indices",
                           .infer = infer_topk,
                           .vjp = vjp_topk,
                           .saves = {.outputs = 0b10},
                           .role = Role::pool};
constinit const OpDef softmax{.signature = "softmax(x) -> y",
                              .infer = infer_softmax,
                              .vjp = vjp_softmax,
                              .saves = {.outputs = 0b1},
                              .role = Role::attention};
constinit const OpDef log_softmax{.signature = "log_softmax(x) -> y",
                                  .infer = infer_softmax,
                                  .vjp = vjp_log_softmax,
                                  .saves = {.outputs = 0b1},
                                  .role = Role::attention};
}  // namespace ops

std::string_view name_of(Reduce r) { return kReduceNames[static_cast<size_t>(r)]; }

Tensor reduce(const Tensor& x, Reduce fn, const Dims& dims, KeepDims keep) {
  return call1(ops::reduce, {x}, ReduceAttrs{fn, axes_of(ops::reduce, x, dims), keep});
}
Tensor sum(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::sum, dims, keep); }
Tensor mean(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::mean, dims, keep); }
Tensor amax(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::max, dims, keep); }
Tensor amin(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::min, dims, keep); }
Tensor prod(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::prod, dims, keep); }
Tensor any(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::any, dims, keep); }
Tensor all(const Tensor& x, const Dims& dims, KeepDims keep) { return reduce(x, Reduce::all, dims, keep); }

std::pair<Tensor, Tensor> var_mean(const Tensor& x, const Dims& dims, KeepDims keep, bool unbiased) {
  const Dims axes = axes_of(ops::reduce, x, dims);
  const Tensor center = mean(x, axes, keep_dims);
  const double count = static_cast<double>(count_along(x.shape(), axes)) - (unbiased ? 1 : 0);
  const Tensor spread = reduce(x - center, Reduce::sum_squares, axes, keep) / count;
  return {spread, keep ? center : reshape(center, spread.shape())};
}
Tensor var(const Tensor& x, const Dims& dims, KeepDims keep, bool unbiased) {
  return var_mean(x, dims, keep, unbiased).first;
}
Tensor norm(const Tensor& x, const Dims& dims, KeepDims keep) {
  return sqrt(reduce(x, Reduce::sum_squares, dims, keep));
}
Tensor normalize(const Tensor& x, int dim,
                 double eps) {  // the clamp comes before the root, whose slope at zero is infinite
  return x * rsqrt(clamp_min(reduce(x, Reduce::sum_squares, {dim}, keep_dims), eps * eps));
}
Tensor logsumexp(const Tensor& x, int dim, KeepDims keep) {
  const Tensor top = amax(x.detach(), {dim}, keep_dims);
  const Tensor y = log(sum(exp(x - top), {dim}, keep_dims)) + top;
  return keep ? y : squeeze(y, dim);
}
Tensor argmax(const Tensor& x, int dim, KeepDims keep) {
  return call1(ops::argreduce, {x}, ArgReduceAttrs{axis_of(ops::argreduce, x, dim), true, keep});
}
Tensor argmin(const Tensor& x, int dim, KeepDims keep) {
  return call1(ops::argreduce, {x}, ArgReduceAttrs{axis_of(ops::argreduce, x, dim), false, keep});
}
Tensor cumsum(const Tensor& x, int dim) { return call1(ops::cumsum, {x}, AxisAttrs{axis_of(ops::cumsum, x, dim)}); }
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int dim, bool largest) {
  const Tensors out = call(ops::topk, {x}, TopkAttrs{axis_of(ops::topk, x, dim), k, largest});
  return {out[0], out[1]};
}
Tensor argsort(const Tensor& x, int dim, bool descending) { return topk(x, x.dim(dim), dim, descending).second; }
Tensor softmax(const Tensor& x, int dim) { return call1(ops::softmax, {x}, AxisAttrs{axis_of(ops::softmax, x, dim)}); }
Tensor log_softmax(const Tensor& x, int dim) {
  return call1(ops::log_softmax, {x}, AxisAttrs{axis_of(ops::log_softmax, x, dim)});
}

Tensor sum_to(const Tensor& x, const Shape& s) {
  if (x.shape() == s) return x;
  const int lead = x.rank() - s.size();
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t wanted = i < lead ? 1 : s[i - lead];
    if (wanted == x.shape()[i]) continue;
    if (wanted != 1) reject(ops::reduce, {x}, str_cat("sum_to ", s, ", which does not broadcast to ", x.shape()));
    axes.push_back(i);
  }
  const Tensor y = axes.empty() ? x : sum(x, axes, keep_dims);
  return y.shape() == s ? y : reshape(y, s);
}

}  // namespace fovea
