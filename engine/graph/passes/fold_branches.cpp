// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fold_branches.cpp — branches over one operand that are added up become one convolution or
// product: the smaller kernel lies within the larger one, and what scales the channels is a kernel of one pixel;
// https://arxiv.org/abs/2101.03697
#include <algorithm>

#include "engine/core/backend.h"
#include "engine/core/deferred.h"
#include "engine/graph/passes/affine.h"
#include "engine/ops/ops.h"

namespace fovea::passes {
namespace {

// What is added to weights [out, in, taps...]: a kernel whose taps fall on theirs, or without one the channels.
struct Addend {
  Tensor kernel;
  std::vector<int64_t> taps;  // for each of the kernel's taps, or for the channels, that of the weights
  std::vector<double> scale;  // by output
};

// Weights that are added up once somebody needs them.
template <class T>
struct Sum final : Deferred {
  Sum(Tensor w, Addend a) : weights(std::move(w)), addend(std::move(a)) {}
  void write(std::byte* bytes) override {
    const Tensor here = on_host(contiguous(weights));
    const Tensor kernel = addend.kernel ? on_host(contiguous(addend.kernel)) : Tensor();
    const T* const from = reinterpret_cast<const T*>(here.bytes());
    const T* const added = kernel ? reinterpret_cast<const T*>(kernel.bytes()) : nullptr;
    T* const to = reinterpret_cast<T*>(bytes);
    const int64_t rows = here.dim(0), in = here.dim(1), each = here.numel() / rows, area = each / in;
    on_host_threads(rows, 65536 / (each + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        T* const row = to + r * each;
        std::copy_n(from + r * each, each, row);
        const double scale = addend.scale[static_cast<size_t>(r)];
        if (!added) {
          plus(row[r % in * area + addend.taps[0]], scale);
          continue;
        }
        const T* next = added + r * in * static_cast<int64_t>(addend.taps.size());
        for (int64_t i = 0; i < in; ++i)
          for (const int64_t tap : addend.taps) plus(row[i * area + tap], scale * static_cast<double>(*next++));
      }
    });
    weights = {};
    addend.kernel = {};
  }
  static void plus(T& w, double more) { w = static_cast<T>(static_cast<double>(w) + more); }
  Tensor weights;
  Addend addend;
};

Tensor sum(const Tensor& w, Addend a) {
  const Meta m = make_meta(w.dtype(), w.shape(), Memory::contiguous, w.device());
  if (w.dtype() == DType::f64) return deferred_tensor(m, std::make_shared<Sum<double>>(w, std::move(a)));
  return deferred_tensor(m, std::make_shared<Sum<float>>(w, std::move(a)));
}

// Where the taps of a small kernel fall in the weights of a larger one over the same image; empty where one does not.
std::vector<int64_t> taps_within(const ConvAttrs& large, const Shape& weights, const ConvAttrs& small,
                                 const Shape& kernel) {
  std::vector<int64_t> at{0};
  for (int d = 0; d < large.stride.size(); ++d) {
    std::vector<int64_t> next;
    for (const int64_t before : at)
      for (int64_t i = 0; i < kernel[d + 2]; ++i) {
        const int64_t pixels = large.pad_lo[d] - small.pad_lo[d] + i * small.dilation[d];
        if (pixels < 0 || pixels % large.dilation[d] != 0 || pixels / large.dilation[d] >= weights[d + 2]) return {};
        next.push_back(before * weights[d + 2] + pixels / large.dilation[d]);
      }
    at = std::move(next);
  }
  return at;
}

std::vector<double> repeated(double x, int64_t n) { return std::vector<double>(static_cast<size_t>(n), x); }

// `branch` as a part of the weights of `base`, whose operand it shares.
std::optional<Addend> of_step(const Graph& g, const Step& base, const Step& branch) {
  if (branch.op != base.op || !takes_weights(g, branch)) return {};
  const Meta &w = g.meta(base.in[1]), &k = g.meta(branch.in[1]);
  if (k.dtype != w.dtype || k.device != w.device || k.shape[0] != w.shape[0] || k.shape[1] != w.shape[1]) return {};
  Addend a{.kernel = g.values[static_cast<size_t>(branch.in[1])].constant, .taps = {0}, .scale = {}};
  if (base.op->role == Role::conv) {
    const ConvAttrs &large = base.attrs.as<ConvAttrs>(), &small = branch.attrs.as<ConvAttrs>();
    if (small.stride != large.stride || small.groups != large.groups) return {};
    a.taps = taps_within(large, w.shape, small, k.shape);
  }
  return a.taps.empty() ? std::nullopt : std::optional(std::move(a));
}

std::optional<Addend> of_operand(const Graph& g, const Step& base) {
  const Meta& w = g.meta(base.in[1]);
  if (base.op->role != Role::conv || g.meta(base.in[0]).shape != g.meta(base.out[0]).shape) return {};
  const ConvAttrs& c = base.attrs.as<ConvAttrs>();
  const Dims ones = Dims::filled(c.stride.size(), 1);
  if (c.stride != ones) return {};
  ConvAttrs pixel = c;  // the operand as a kernel of one pixel gives it
  pixel.dilation = ones;
  pixel.pad_lo = Dims::filled(c.stride.size(), 0);
  Shape one = w.shape;
  std::fill(one.begin() + 2, one.end(), 1);
  Addend a{.kernel = {}, .taps = taps_within(c, w.shape, pixel, one), .scale = {}};
  return a.taps.empty() ? std::nullopt : std::optional(std::move(a));
}

struct Branch {
  int value;    // the operand of the sum
  double sign;  // how it counts
};

// Adds `other` to the step that makes `base`; false where that is no convolution or product, or `other` does not fit.
bool join(Graph& g, Links& links, const Branch& base, const Branch& other) {
  if (base.sign < 0 || links.maker(base.value) < 0 || !links.read_once(base.value)) return false;
  Step& s = g.steps[static_cast<size_t>(links.maker(base.value))];
  if (!takes_weights(g, s)) return false;
  const int64_t outputs = g.meta(s.in[1]).shape[0];
  std::optional<Addend> a;
  std::vector<double> scale = repeated(1, outputs), shift;
  if (other.value == s.in[0]) {  // dense kernels have an epilogue for that, which rounds less
    if (g.meta(s.in[1]).shape[1] == 1 && outputs > 1) a = of_operand(g, s);
  } else if (links.maker(other.value) >= 0 && links.read_once(other.value)) {
    const Step& branch = g.steps[static_cast<size_t>(links.maker(other.value))];
    if (std::ranges::find(branch.in, s.in[0]) == branch.in.end()) return false;
    if (branch.in[0] == s.in[0] && (a = of_step(g, s, branch))) {
      shift = vector_operand(g, branch, 2);
    } else if (branch.out.size() == 1 && g.meta(branch.out[0]) == g.meta(s.in[0])) {
      const std::optional<Affine> of = s.op->role == Role::conv ? affine_of(g, branch, s.in[0], 1) : std::nullopt;
      if (!of || !(a = of_operand(g, s))) return false;
      scale = of->scale;
      shift = of->shift;
    }
  }
  if (!a) return false;
  --links.uses[static_cast<size_t>(s.in[0])];
  for (double& x : scale) x *= other.sign;
  a->scale = std::move(scale);
  const Value w = g.values[static_cast<size_t>(s.in[1])];
  s.in[1] = g.add_constant(sum(w.constant, std::move(*a)), w.name);
  if (shift.empty()) return true;
  std::vector<double> bias = vector_operand(g, s, 2);
  bias.resize(shift.size(), 0.0);
  for (size_t c = 0; c < bias.size(); ++c) bias[c] += other.sign * shift[c];
  set_bias(g, s, bias);
  return true;
}

}  // namespace

void join_branches(Graph& g, Links& links, size_t n) {
  const Step& s = g.steps[n];
  if (s.op != &ops::binary) return;
  const Binary fn = s.attrs.as<BinaryAttrs>().fn;
  const int a = s.in[0], b = s.in[1], sum = s.out[0];
  if ((fn != Binary::add && fn != Binary::sub) || a == b || g.meta(a) != g.meta(b) || g.meta(a) != g.meta(sum)) return;
  const Branch first{a, 1}, second{b, fn == Binary::sub ? -1.0 : 1.0};
  const bool in_first = join(g, links, first, second);
  if (!in_first && !join(g, links, second, first)) return;
  const int kept = in_first ? a : b;
  links.uses[static_cast<size_t>(kept)] = links.uses[static_cast<size_t>(sum)];
  g.replace_uses(sum, kept);
}

}  // namespace fovea::passes
