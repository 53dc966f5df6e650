// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fold_norm.cpp — what scales and shifts the channels of a convolution or product by constants
// (batch norm in
// evaluation, layer scale, an added table) becomes part of its weights and bias: s (x W + b) + t = x (s W) + (s b + t).
#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/backend.h"
#include "engine/core/deferred.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea::passes {
namespace {

struct Affine {
  std::vector<double> scale, shift;                // per output channel
};

const Tensor& constant(const Graph& g, int v) { return g.values[static_cast<size_t>(v)].constant; }

// Exact in double; 16-bit weights would be rounded twice and are left alone.
bool is_exact(const Graph& g, int v) {
  return g.is_constant(v) && constant(g, v).has_bytes() &&
         (g.meta(v).dtype == DType::f32 || g.meta(v).dtype == DType::f64);
}

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

std::vector<double> vector_operand(const Graph& g, const Step& s, size_t i) {
  return i < s.in.size() && s.in[i] >= 0 ? numbers(constant(g, s.in[i]), 0) : std::vector<double>();
}

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
  const int axis = channel_axis - (mx.rank() - mc.rank());           // of the channels in c
  for (int i = 0; i < mc.rank(); ++i)
    if (mc.shape[i] != 1 && (i != axis || mc.shape[i] != channels)) return {};
  std::vector<double> v = numbers(constant(g, c), axis < 0 ? -1 : axis);
  v.resize(static_cast<size_t>(channels), v[0]);
  const std::vector<double> ones(v.size(), 1.0), none(v.size(), 0.0);
  return fn == Binary::mul ? Affine{std::move(v), none} : Affine{ones, std::move(v)};
}

std::optional<Affine> affine_of(const Graph& g, const Step& s, int x, int channel_axis) {
  if (s.op == &ops::batch_norm_eval) return of_norm(g, s, channel_axis);
  if (s.op == &ops::binary) return of_binary(g, s, x, channel_axis);
  if (s.op != &ops::unary || s.attrs.as<UnaryAttrs>().fn != Unary::affine) return {};
  const UnaryAttrs& u = s.attrs.as<UnaryAttrs>();
  const size_t channels = static_cast<size_t>(g.meta(x).shape[channel_axis]);
  return Affine{std::vector<double>(channels, static_cast<double>(u.a)),
                std::vector<double>(channels, static_cast<double>(u.b))};
}

// Weights whose rows (one an output) are multiplied once somebody needs them: packing does, and then lets go of them.
template <class T>
struct Scaled final : Deferred {
  Scaled(Tensor w, std::vector<double> by) : weights(std::move(w)), scale(std::move(by)) {}
  void write(std::byte* bytes) override {
    const Tensor here = on_host(weights);
    const T* const from = reinterpret_cast<const T*>(here.bytes());
    T* const to = reinterpret_cast<T*>(bytes);
    const auto rows = static_cast<int64_t>(scale.size()), each = weights.numel() / rows;
    on_host_threads(rows, 65536 / (each + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const double by = scale[static_cast<size_t>(r)];
        for (int64_t i = r * each; i < (r + 1) * each; ++i) to[i] = static_cast<T>(static_cast<double>(from[i]) * by);
      }
    });
    weights = {};
  }
  Tensor weights;  // dense, outputs outermost, wherever they are
  std::vector<double> scale;
};

template <class T>
Tensor scaled(const Tensor& w, const Affine& a) {
  const Memory order = w.meta().is_channels_last() ? Memory::channels_last : Memory::contiguous;
  return deferred_tensor(make_meta(w.dtype(), w.shape(), order, w.device()),
                         std::make_shared<Scaled<T>>(contiguous(w, order), a.scale));
}

template <class T>
Tensor shifted(const std::vector<double>& bias, const Affine& a, Device d) {
  Tensor out = empty({static_cast<int64_t>(a.scale.size())}, Tensor::dtype_of<T>());
  const std::span<T> to = out.mutable_data<T>();
  for (size_t c = 0; c < to.size(); ++c)
    to[c] = static_cast<T>((bias.empty() ? 0.0 : bias[c]) * a.scale[c] + a.shift[c]);
  return out.to(d);
}

bool takes_weights(const Graph& g, const Step& s) {
  return s.op->takes_weights() && s.op->epilogue_in(s.attrs.ref()).empty() && is_exact(g, s.in[1]) &&
         (s.in.size() < 3 || s.in[2] < 0 || is_exact(g, s.in[2]));
}

// Where an axis of a view's operand is in its result; -1 where it is joined with others or split.
int axis_after(const Graph& g, const Step& view, int axis) {
  const Shape &from = g.meta(view.in[0]).shape, &to = g.meta(view.out[0]).shape;
  if (view.op == &ops::permute) {
    const Dims& order = view.attrs.as<PermuteAttrs>().order;
    return static_cast<int>(std::find(order.begin(), order.end(), axis) - order.begin());
  }
  const int64_t in_front = numel(Shape(from.begin(), from.begin() + axis));
  for (int64_t i = 0, so_far = 1; i < to.size(); so_far *= to[static_cast<int>(i++)])
    if (so_far == in_front && to[static_cast<int>(i)] == from[axis]) return static_cast<int>(i);
  return -1;
}

// The conv or linear that makes x for nobody else, maybe seen in another shape, and the axis of x that counts its
// channels.
struct Source {
  int step = -1, channel_axis = -1;
};
Source source_of(const Graph& g, const std::vector<int>& uses, const std::vector<int>& makers, int x) {
  if (x < 0 || uses[static_cast<size_t>(x)] != 1 || makers[static_cast<size_t>(x)] < 0) return {};
  const int made_by = makers[static_cast<size_t>(x)];
  const Step& s = g.steps[static_cast<size_t>(made_by)];
  if (takes_weights(g, s)) return {made_by, s.op->role == Role::conv ? 1 : g.meta(x).rank() - 1};
  if (s.op != &ops::permute && s.op != &ops::reshape) return {};
  Source from = source_of(g, uses, makers, s.in[0]);
  if (from.step >= 0) from.channel_axis = axis_after(g, s, from.channel_axis);
  return from.channel_axis >= 0 ? from : Source{};
}

void absorb(Graph& g, Step& s, const Affine& a) {
  const bool wide = g.meta(s.in[1]).dtype == DType::f64;
  const std::vector<double> bias = vector_operand(g, s, 2);
  s.in.resize(std::max<size_t>(s.in.size(), 3), -1);
  if (std::any_of(a.scale.begin(), a.scale.end(), [](double x) { return x != 1.0; })) {
    const Value w = g.values[static_cast<size_t>(s.in[1])];
    s.in[1] = g.add_constant(wide ? scaled<double>(w.constant, a) : scaled<float>(w.constant, a), w.name);
  }
  const Device d = g.meta(s.in[1]).device;
  s.in[2] = g.add_constant(wide ? shifted<double>(bias, a, d) : shifted<float>(bias, a, d),
                           str_cat(s.scope, s.scope.empty() ? "" : ".", "bias"));
}

}  // namespace

void fold_norm(Graph& g, const Target&) {
  std::vector<int> uses = g.use_counts();
  const std::vector<int> makers = g.makers();
  for (size_t n = 0; n < g.steps.size(); ++n)
    for (const int x : std::vector<int>(g.steps[n].in)) {
      const Source from = source_of(g, uses, makers, x);
      const Step& after = g.steps[n];
      if (from.step < 0 || after.out.size() != 1 || g.meta(after.out[0]) != g.meta(x)) continue;
      const std::optional<Affine> a = affine_of(g, after, x, from.channel_axis);
      if (!a) continue;
      absorb(g, g.steps[static_cast<size_t>(from.step)], *a);
      uses[static_cast<size_t>(x)] = uses[static_cast<size_t>(after.out[0])];
      g.replace_uses(after.out[0], x);
      break;
    }
  g.remove_dead();
}

}  // namespace fovea::passes
