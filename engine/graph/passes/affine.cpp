// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/affine.cpp — reading scales, shifts and weights out of steps.
#include "engine/graph/passes/affine.h"

#include <algorithm>
#include <cmath>

#include "engine/core/backend.h"
#include "engine/ops/ops.h"

namespace fovea::passes {
namespace {

const Tensor& constant(const Graph& g, int v) { return g.values[static_cast<size_t>(v)].constant; }

// Elements along one axis of a constant, the other axes at 0.
std::vector<double> numbers(const Tensor& constant, int axis) {
  const Tensor t = on_host(constant);
  const Meta& m = t.meta();
  const int64_t count = axis < 0 ? 1 : m.shape[axis], step = axis < 0 ? 0 : m.strides[axis];
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) {
    const std::byte* p = t.bytes() + i * step * static_cast<int64_t>(size_of(m.dtype));
    out.push_back(m.dtype == DType::f64 ? *reinterpret_cast<const double*>(p)
                                        : static_cast<double>(*reinterpret_cast<const float*>(p)));
  }
  return out;
}

}  // namespace

bool is_exact(const Graph& g, int v) {
  return g.is_constant(v) && constant(g, v).has_bytes() &&
         (g.meta(v).dtype == DType::f32 || g.meta(v).dtype == DType::f64);
}

std::vector<double> vector_operand(const Graph& g, const Step& s, size_t i) {
  return i < s.in.size() && s.in[i] >= 0 ? numbers(constant(g, s.in[i]), 0) : std::vector<double>();
}

namespace {

std::optional<Affine> of_norm(const Graph& g, const Step& norm, int channel_axis) {
  if (channel_axis != 1 || norm.in.size() < 5) return {};
  for (size_t i = 1; i < 5; ++i)
    if (norm.in[i] < 0 ? i > 2 : !is_exact(g, norm.in[i])) return {};
  const std::vector<double> w = vector_operand(g, norm, 1), b = vector_operand(g, norm, 2);
  const std::vector<double> mean = vector_operand(g, norm, 3), var = vector_operand(g, norm, 4);
  const double eps = static_cast<double>(norm.attrs.as<NormAttrs>().eps);
  Affine a;
  for (size_t c = 0; c < mean.size(); ++c) {
    a.scale.push_back((w.empty() ? 1.0 : w[c]) / std::sqrt(var[c] + eps));
    a.shift.push_back((b.empty() ? 0.0 : b[c]) - mean[c] * a.scale.back());
  }
  return a;
}

// x * c or x + c, where c has one number a channel (or one for all).
std::optional<Affine> of_binary(const Graph& g, const Step& s, int x, int channel_axis) {
  const Binary fn = s.attrs.as<BinaryAttrs>().fn;
  const int c = s.in[0] == x ? s.in[1] : s.in[0];
  if ((fn != Binary::mul && fn != Binary::add) || !is_exact(g, c)) return {};
  const Meta &mx = g.meta(x), &mc = g.meta(c);
  const int64_t channels = mx.shape[channel_axis];
  const int axis = channel_axis - (mx.rank() - mc.rank());  // of the channels in c
  for (int i = 0; i < mc.rank(); ++i)
    if (mc.shape[i] != 1 && (i != axis || mc.shape[i] != channels)) return {};
  std::vector<double> v = numbers(constant(g, c), axis < 0 ? -1 : axis);
  v.resize(static_cast<size_t>(channels), v[0]);
  const std::vector<double> ones(v.size(), 1.0), none(v.size(), 0.0);
  return fn == Binary::mul ? Affine{std::move(v), none} : Affine{ones, std::move(v)};
}

}  // namespace

std::optional<Affine> affine_of(const Graph& g, const Step& s, int x, int channel_axis) {
  if (s.op == &ops::batch_norm_eval) return of_norm(g, s, channel_axis);
  if (s.op == &ops::binary) return of_binary(g, s, x, channel_axis);
  if (s.op != &ops::unary || s.attrs.as<UnaryAttrs>().fn != Unary::affine) return {};
  const UnaryAttrs& u = s.attrs.as<UnaryAttrs>();
  const size_t channels = static_cast<size_t>(g.meta(x).shape[channel_axis]);
  return Affine{std::vector<double>(channels, static_cast<double>(u.a)),
                std::vector<double>(channels, static_cast<double>(u.b))};
}

bool takes_weights(const Graph& g, const Step& s) {
  return s.op->takes_weights() && s.op->epilogue_in(s.attrs.ref()).empty() && is_exact(g, s.in[1]) &&
         (s.in.size() < 3 || s.in[2] < 0 || is_exact(g, s.in[2]));
}

void set_bias(Graph& g, Step& s, const std::vector<double>& bias) {
  const Meta& weights = g.meta(s.in[1]);
  Tensor t = empty({static_cast<int64_t>(bias.size())}, weights.dtype);
  if (weights.dtype == DType::f64) std::ranges::copy(bias, t.mutable_data<double>().begin());
  else std::ranges::transform(bias, t.mutable_data<float>().begin(), [](double b) { return static_cast<float>(b); });
  const Device d = weights.device;
  s.in.resize(std::max<size_t>(s.in.size(), 3), -1);
  s.in[2] = g.add_constant(t.to(d), str_cat(s.scope, s.scope.empty() ? "" : ".", "bias"));
}

}  // namespace fovea::passes
