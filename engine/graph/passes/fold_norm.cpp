// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fold_norm.cpp — what scales and shifts the channels of a convolution or product by constants
// (batch norm in evaluation, layer scale, an added table) becomes part of its weights and bias:
// s (x W + b) + t = x (s W) + (s b + t). So does what scales and shifts the operand of a product, and branches that are
// added up become one.
#include <algorithm>
#include <optional>

#include "engine/core/backend.h"
#include "engine/core/deferred.h"
#include "engine/graph/passes/affine.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea::passes {
namespace {

// Weights whose rows (one an output) or columns (one an input) are multiplied once somebody needs them: packing does,
// and then lets go of them.
enum class Along : bool { rows, columns };
template <class T>
struct Scaled final : Deferred {
  Scaled(Tensor w, std::vector<double> by, Along a) : weights(std::move(w)), scale(std::move(by)), along(a) {}
  void write(std::byte* bytes) override {
    const Tensor here = on_host(weights);
    const T* const from = reinterpret_cast<const T*>(here.bytes());
    T* const to = reinterpret_cast<T*>(bytes);
    const int64_t rows = weights.dim(0), each = weights.numel() / rows;
    on_host_threads(rows, 65536 / (each + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t i = 0; i < each; ++i) {
          const double by = scale[static_cast<size_t>(along == Along::rows ? r : i)];
          to[r * each + i] = static_cast<T>(static_cast<double>(from[r * each + i]) * by);
        }
      }
    });
    weights = {};
  }
  Tensor weights;  // dense, outputs outermost, wherever they are
  std::vector<double> scale;
  Along along;
};

// The weights of a step, scaled unless all factors are 1.
void scale_weights(Graph& g, Step& s, const std::vector<double>& by, Along along) {
  if (std::ranges::all_of(by, [](double x) { return x == 1.0; })) return;
  const Value v = g.values[static_cast<size_t>(s.in[1])];
  const Tensor& w = v.constant;
  const Memory order = w.meta().is_channels_last() ? Memory::channels_last : Memory::contiguous;
  const Tensor dense = contiguous(w, order);
  std::shared_ptr<Deferred> how;
  if (w.dtype() == DType::f64) how = std::make_shared<Scaled<double>>(dense, by, along);
  else how = std::make_shared<Scaled<float>>(dense, by, along);
  s.in[1] = g.add_constant(deferred_tensor(make_meta(w.dtype(), w.shape(), order, w.device()), how), v.name);
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
Source source_of(const Graph& g, const Links& links, int x) {
  const int made_by = links.maker(x);
  if (made_by < 0 || !links.read_once(x)) return {};
  const Step& s = g.steps[static_cast<size_t>(made_by)];
  if (takes_weights(g, s)) return {made_by, s.op->role == Role::conv ? 1 : g.meta(x).rank() - 1};
  if (s.op != &ops::permute && s.op != &ops::reshape) return {};
  Source from = source_of(g, links, s.in[0]);
  if (from.step >= 0) from.channel_axis = axis_after(g, s, from.channel_axis);
  return from.channel_axis >= 0 ? from : Source{};
}

void absorb(Graph& g, Step& s, const Affine& a) {
  std::vector<double> bias = vector_operand(g, s, 2);
  bias.resize(a.scale.size(), 0.0);
  for (size_t c = 0; c < bias.size(); ++c) bias[c] = bias[c] * a.scale[c] + a.shift[c];
  scale_weights(g, s, a.scale, Along::rows);
  set_bias(g, s, bias);
}

// b + W t of a product.
template <class T>
std::vector<double> shifted_bias(const Tensor& weights, std::vector<double> bias, const std::vector<double>& shift) {
  const Tensor w = on_host(contiguous(weights));
  const T* next = reinterpret_cast<const T*>(w.bytes());
  bias.resize(static_cast<size_t>(w.dim(0)), 0.0);
  for (double& b : bias)
    for (const double t : shift) b += static_cast<double>(*next++) * t;
  return bias;
}

// A product takes in what scales and shifts its operand for nobody else.
bool absorb_operand(Graph& g, Links& links, size_t n) {
  Step& s = g.steps[n];
  if (s.op != &ops::linear || !takes_weights(g, s)) return false;
  const int x = s.in[0], made_by = links.maker(x);
  if (made_by < 0 || !links.read_once(x)) return false;
  const Step& before = g.steps[static_cast<size_t>(made_by)];
  for (const int y : before.in) {
    if (y < 0 || g.is_constant(y) || before.out.size() != 1 || g.meta(y) != g.meta(x)) continue;
    const std::optional<Affine> a = affine_of(g, before, y, g.meta(y).rank() - 1);
    if (!a) return false;
    const Tensor w = g.values[static_cast<size_t>(s.in[1])].constant;
    if (std::ranges::any_of(a->shift, [](double t) { return t != 0; })) {
      const std::vector<double> bias = vector_operand(g, s, 2);
      set_bias(
          g, s,
          w.dtype() == DType::f64 ? shifted_bias<double>(w, bias, a->shift) : shifted_bias<float>(w, bias, a->shift));
    }
    scale_weights(g, s, a->scale, Along::columns);
    s.in[0] = y;
    links.uses[static_cast<size_t>(x)] = 0;
    return true;
  }
  return false;
}

bool absorb_into_source(Graph& g, Links& links, size_t n) {
  for (const int x : g.steps[n].in) {
    const Source from = source_of(g, links, x);
    const Step& after = g.steps[n];
    if (from.step < 0 || after.out.size() != 1 || g.meta(after.out[0]) != g.meta(x)) continue;
    const std::optional<Affine> a = affine_of(g, after, x, from.channel_axis);
    if (!a) continue;
    absorb(g, g.steps[static_cast<size_t>(from.step)], *a);
    links.uses[static_cast<size_t>(x)] = links.uses[static_cast<size_t>(after.out[0])];
    g.replace_uses(after.out[0], x);
    return true;
  }
  return false;
}

}  // namespace

void fold_norm(Graph& g, const Target&) {
  Links links(g);
  for (size_t n = 0; n < g.steps.size(); ++n) {
    while (absorb_operand(g, links, n)) {}
    if (!absorb_into_source(g, links, n)) join_branches(g, links, n);
  }
  g.remove_dead();
}

}  // namespace fovea::passes
