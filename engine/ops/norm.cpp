// SPDX-License-Identifier: Apache-2.0
// engine/ops/norm.cpp — batch, layer, RMS and group normalisation.
#include "engine/core/node.h"
#include "engine/ops/gradients.h"
#include "engine/ops/rules.h"

namespace fovea {
namespace {

DType stats_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

// An optional vector or block of factors: x's dtype, or f32 beside 16-bit x.
void check_affine(const Site& s, int i, std::string_view name, const Shape& wanted) {
  if (!s.has(i)) return;
  const Meta& m = s.operand(i);
  if (m.shape != wanted) s.fail(str_cat(name, " has shape ", m.shape, ", not ", wanted));
  if (m.dtype != s.operand(0).dtype && m.dtype != stats_dtype(s.operand(0).dtype))
    s.fail(str_cat("x is ", name_of(s.operand(0).dtype), ", but ", name, " is ", name_of(m.dtype)));
}
void check_channels(const Site& s) {
  s.want_floating(0);
  if (s.operand(0).rank() < 2) s.fail(str_cat("x must have a channel dimension, not shape ", s.operand(0).shape));
}

Tensor times(const Tensor& x, const Tensor& w) { return w ? x * w : x; }
double eps_of(const Backward& b) { return static_cast<double>(b.attrs<NormAttrs>().eps); }

// Gradient through (x - mean) * inv where mean and inv come from x along `axes`; `g` is the normalised values'.
Tensor through_centred(const Tensor& g, const Tensor& normal, const Tensor& inv, const Dims& axes) {
  return (g - mean(g, axes, keep_dims) - normal * mean(g * normal, axes, keep_dims)) * inv;
}

// One value is its own mean: it would come out as 0, whatever it is.
void want_several(const Site& s, int64_t values, std::string_view together) {
  if (values == 1)
    s.fail(str_cat("x of shape ", s.operand(0).shape, " has one value ", together, "; statistics need more than one"));
}

Metas infer_batch_norm(const Site& s) {
  check_channels(s);
  const Meta& x = s.operand(0);
  const Shape channels{x.shape[1]};
  check_affine(s, 1, "w", channels);
  check_affine(s, 2, "b", channels);
  if (x.numel() == 0) s.fail("no elements to take the mean of");
  want_several(s, x.numel() / x.shape[1], "a channel");
  const Meta stats = make_meta(stats_dtype(x.dtype), channels, Memory::contiguous, x.device);
  return {dense_like(x, x.shape), stats, stats};
}

void want_alike(const Site& s, std::string_view name) {
  if (s.operand(1).shape != s.operand(0).shape || s.operand(1).dtype != s.operand(0).dtype)
    s.fail(str_cat(name, " is ", s.operand(1), " beside a gradient ", s.operand(0)));
}
Metas infer_batch_norm_dx(const Site& s) {
  check_channels(s);
  want_alike(s, "x");
  const Meta& x = s.operand(1);
  const Shape channels{x.shape[1]};
  check_affine(s, 2, "w", channels);
  const Meta stats = make_meta(stats_dtype(x.dtype), channels, Memory::contiguous, x.device);
  for (int i = 3; i < 5; ++i)
    if (!s.has(i) || s.operand(i) != stats) s.fail(str_cat(i == 3 ? "mean" : "invstd", " is not ", stats));
  return {dense_like(x, x.shape), stats, stats};
}

bool in_one_pass(const Backward& b) {
  const DType t = b.in_meta(0).dtype;
  return !grad_enabled() && (t == DType::f32 || t == DType::f64) && b.in_meta(0).numel() > 0;
}

// Also takes what arrives at mean and invstd: second derivatives go through them.
Tensors vjp_batch_norm(const Backward& b) {
  const Meta& m = b.in_meta(0);
  if (in_one_pass(b) && b.has_grad(0) && !b.has_grad(1) && !b.has_grad(2)) {
    const Tensors g = call(ops::batch_norm_dx, {b.grad(0), b.in(0), b.in(1), b.out(1), b.out(2)});
    return {g[0], b.needs(1) ? g[1] : Tensor(), b.needs(2) ? g[2] : Tensor()};
  }
  const int rank = m.rank();
  const Dims axes = all_but_channels(rank);
  const double count = static_cast<double>(m.numel() / m.shape[1]);
  const Tensor inv = along_channels(b.out(2), rank), normal = (b.in(0) - along_channels(b.out(1), rank)) * inv;
  const Tensor g = b.grad(0);
  Tensor gx, gw, gb;
  const Tensor sum_g = sum(cast(g, inv.dtype()), axes, keep_dims), sum_gn = sum(g * normal, axes, keep_dims);
  if (b.needs(0)) {
    const Tensor w = b.in(1);
    const Tensor gain = w ? along_channels(w, rank) * inv : inv;
    gx = (g - sum_g / count - normal * (sum_gn / count)) * gain;
    if (b.has_grad(1)) gx = gx + along_channels(b.grad(1), rank) / count;
    if (b.has_grad(2)) gx = gx - normal * (along_channels(b.grad(2), rank) * square(inv) / count);
    gx = cast(gx, m.dtype);
  }
  if (b.needs(1)) gw = cast(reshape(sum_gn, {m.shape[1]}), b.in_meta(1).dtype);
  if (b.needs(2)) gb = cast(reshape(sum_g, {m.shape[1]}), b.in_meta(2).dtype);
  return {gx, gw, gb};
}

Metas infer_batch_norm_eval(const Site& s) {
  check_channels(s);
  const Shape channels{s.operand(0).shape[1]};
  const std::string_view names[] = {"x", "w", "b", "mean", "var"};
  for (int i = 1; i < 5; ++i) check_affine(s, i, names[i], channels);
  if (!s.has(3) || !s.has(4)) s.fail("mean and var must be given");
  return same_as(s.operand(0));
}
Tensors vjp_batch_norm_eval(const Backward& b) {
  const int rank = b.in_meta(0).rank();
  const Dims axes = all_but_channels(rank);
  const Tensor g = b.grad(), w = b.in(1), centre = b.in(3), inv = rsqrt(b.in(4) + eps_of(b));
  const Tensor gain = times(inv, w);
  Tensor gx, gw, gb, gmean, gvar;
  if (b.needs(0)) gx = cast(g * along_channels(gain, rank), b.in_meta(0).dtype);
  const Tensor sum_g = b.needs(2) || b.needs(3) ? sum(cast(g, inv.dtype()), axes) : Tensor();
  const Tensor sum_gx = b.needs(1) || b.needs(4) ? sum(g * (b.in(0) - along_channels(centre, rank)), axes) : Tensor();
  if (b.needs(1)) gw = cast(sum_gx * inv, b.in_meta(1).dtype);
  if (b.needs(2)) gb = cast(sum_g, b.in_meta(2).dtype);
  if (b.needs(3)) gmean = cast(-(sum_g * gain), b.in_meta(3).dtype);
  if (b.needs(4)) gvar = cast(sum_gx * gain * square(inv) * -0.5, b.in_meta(4).dtype);
  return {gx, gw, gb, gmean, gvar};
}

Shape trailing(const Site& s, int dims) {
  const Shape& x = s.operand(0).shape;
  if (dims < 1 || dims > x.size()) s.fail(str_cat("dims=", dims, " trailing dimensions of shape ", x));
  return Shape(x.end() - dims, x.end());
}
Dims trailing_axes(int rank, int dims) {
  Dims axes;
  for (int i = rank - dims; i < rank; ++i) axes.push_back(i);
  return axes;
}
Metas infer_layer_norm(const Site& s) {  // also rms_norm, which has no b
  s.want_floating(0);
  const Shape block = trailing(s, s.attrs<NormAttrs>().dims);
  check_affine(s, 1, "w", block);
  check_affine(s, 2, "b", block);
  return {make_meta(s.operand(0).dtype, s.operand(0).shape, Memory::contiguous, s.operand(0).device)};
}
Metas infer_layer_norm_dx(const Site& s) {
  s.want_floating(0);
  want_alike(s, "x");
  const Meta& x = s.operand(1);
  const Shape block = trailing(s, s.attrs<NormAttrs>().dims);
  check_affine(s, 2, "w", block);
  const Meta sums = make_meta(stats_dtype(x.dtype), block, Memory::contiguous, x.device);
  return {make_meta(x.dtype, x.shape, Memory::contiguous, x.device), sums, sums};
}
Tensors vjp_layer_norm(const Backward& b) {
  const Meta& m = b.in_meta(0);
  if (in_one_pass(b)) {
    const Tensors g = call(ops::layer_norm_dx, {b.grad(), b.in(0), b.in(1)}, b.attrs<NormAttrs>());
    return {g[0], b.needs(1) ? g[1] : Tensor(), b.needs(2) ? g[2] : Tensor()};
  }
  const Dims axes = trailing_axes(m.rank(), b.attrs<NormAttrs>().dims);
  const Tensor g = b.grad(), x = cast(b.in(0), stats_dtype(m.dtype));
  Tensor gx, gw, gb;
  if (b.needs(0) || b.needs(1)) {
    const auto [spread, centre] = var_mean(x, axes, keep_dims);
    const Tensor inv = rsqrt(spread + eps_of(b)), normal = (x - centre) * inv;
    if (b.needs(0)) gx = cast(through_centred(times(g, b.in(1)), normal, inv, axes), m.dtype);
    if (b.needs(1)) gw = cast(sum_to(g * normal, b.in_meta(1).shape), b.in_meta(1).dtype);
  }
  if (b.needs(2)) gb = cast(sum_to(cast(g, x.dtype()), b.in_meta(2).shape), b.in_meta(2).dtype);
  return {gx, gw, gb};
}
Tensors vjp_rms_norm(const Backward& b) {
  const Meta& m = b.in_meta(0);
  const Dims axes = trailing_axes(m.rank(), b.attrs<NormAttrs>().dims);
  const Tensor g = b.grad(), x = cast(b.in(0), stats_dtype(m.dtype));
  const Tensor inv = rsqrt(mean(square(x), axes, keep_dims) + eps_of(b)), normal = x * inv;
  Tensor gx, gw;
  if (b.needs(0)) {
    const Tensor gn = times(g, b.in(1));
    gx = cast((gn - normal * mean(gn * normal, axes, keep_dims)) * inv, m.dtype);
  }
  if (b.needs(1)) gw = cast(sum_to(g * normal, b.in_meta(1).shape), b.in_meta(1).dtype);
  return {gx, gw};
}

Metas infer_group_norm(const Site& s) {
  check_channels(s);
  const int groups = s.attrs<NormAttrs>().groups;
  const int64_t channels = s.operand(0).shape[1];
  if (groups < 1 || channels % groups)
    s.fail(str_cat("groups=", groups, " does not divide the ", channels, " channels of x"));
  check_affine(s, 1, "w", {channels});
  check_affine(s, 2, "b", {channels});
  want_several(s, s.operand(0).numel() / groups, "a group");
  return same_as(s.operand(0));
}
Tensors vjp_group_norm(const Backward& b) {
  const Meta& m = b.in_meta(0);
  const int64_t groups = b.attrs<NormAttrs>().groups;
  Shape split = m.shape;  // [N, G, C / G, ...]: a view in either memory order
  split[1] = m.shape[1] / groups;
  split.insert(1, groups);
  const Dims axes = trailing_axes(split.size(), split.size() - 2), sums = all_but_channels(m.rank());
  const Tensor g = cast(b.grad(), stats_dtype(m.dtype)), x = reshape(cast(b.in(0), g.dtype()), split);
  Tensor gx, gw, gb;
  if (b.needs(0) || b.needs(1)) {
    const auto [spread, centre] = var_mean(x, axes, keep_dims);
    const Tensor inv = rsqrt(spread + eps_of(b)), normal = (x - centre) * inv, w = b.in(1);
    const Tensor gn = w ? g * along_channels(w, m.rank()) : g;
    if (b.needs(0)) gx = cast(reshape(through_centred(reshape(gn, split), normal, inv, axes), m.shape), m.dtype);
    if (b.needs(1)) gw = cast(sum(g * reshape(normal, m.shape), sums), b.in_meta(1).dtype);
  }
  if (b.needs(2)) gb = cast(sum(g, sums), b.in_meta(2).dtype);
  return {gx, gw, gb};
}

}  // namespace

namespace ops {
constinit const OpDef batch_norm{.signature = "batch_norm(x, w?, b?) -> y, mean, invstd",
                                 .infer = infer_batch_norm,
                                 .vjp = vjp_batch_norm,
                                 .saves = {.inputs = 0b11, .outputs = 0b110},
                                 .role = Role::norm};
constinit const OpDef batch_norm_dx{.signature = "batch_norm_dx(gy, x, w?, mean, invstd) -> gx, gw, gb",
                                    .infer = infer_batch_norm_dx,
                                    .role = Role::norm};
constinit const OpDef layer_norm_dx{.signature = "layer_norm_dx(gy, x, w?) -> gx, gw, gb",
                                    .infer = infer_layer_norm_dx,
                                    .role = Role::norm};
constinit const OpDef batch_norm_eval{.signature = "batch_norm_eval(x, w?, b?, mean, var) -> y",
                                      .infer = infer_batch_norm_eval,
                                      .vjp = vjp_batch_norm_eval,
                                      .saves = {.inputs = 0b11011},
                                      .role = Role::norm};
constinit const OpDef layer_norm{.signature = "layer_norm(x, w?, b?) -> y",
                                 .infer = infer_layer_norm,
                                 .vjp = vjp_layer_norm,
                                 .saves = {.inputs = 0b11},
                                 .role = Role::norm};
constinit const OpDef rms_norm{.signature = "rms_norm(x, w?) -> y",
                               .infer = infer_layer_norm,
                               .vjp = vjp_rms_norm,
                               .saves = {.inputs = 0b11},
                               .role = Role::norm};
constinit const OpDef group_norm{.signature = "group_norm(x, w?, b?) -> y",
                                 .infer = infer_group_norm,
                                 .vjp = vjp_group_norm,
                                 .saves = {.inputs = 0b11},
                                 .role = Role::norm};
}  // namespace ops

BatchNormResult batch_norm_train(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  const Tensors out = call(ops::batch_norm, {x, w, b}, NormAttrs{.eps = static_cast<float>(eps)});
  return {out[0], out[1], reciprocal(square(out[2])) - static_cast<double>(static_cast<float>(eps))};
}
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& mean, const Tensor& var,
                  double eps) {
  return call1(ops::batch_norm_eval, {x, w, b, mean, var}, NormAttrs{.eps = static_cast<float>(eps)});
}
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps, int dims) {
  return call1(ops::layer_norm, {x, w, b}, NormAttrs{.eps = static_cast<float>(eps), .dims = dims});
}
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps, int dims) {
  return call1(ops::rms_norm, {x, w}, NormAttrs{.eps = static_cast<float>(eps), .dims = dims});
}
Tensor group_norm(const Tensor& x, const Tensor& w, const Tensor& b, int groups, double eps) {
  return call1(ops::group_norm, {x, w, b}, NormAttrs{.eps = static_cast<float>(eps), .groups = groups});
}
Tensor instance_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  if (x.rank() > 1 && x.numel() == x.dim(0) * x.dim(1))
    throw Error(Error::Kind::shape, str_cat("instance_norm: x of shape ", x.shape(), " has one value a channel"),
                "statistics need more than one");
  return group_norm(x, w, b, static_cast<int>(x.dim(1)), eps);
}

}  // namespace fovea
