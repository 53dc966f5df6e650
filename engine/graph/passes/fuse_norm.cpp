// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fuse_norm.cpp — batch norm by constants that no weights took in becomes a gain and a shift a
// channel, and what it reads is joined, and its result mapped, on the way: one pass over memory for three steps.
#include <algorithm>
#include <cmath>

#include "engine/graph/passes/passes.h"
#include "engine/ops/lowered/fused.h"

namespace fovea::passes {
namespace {

class Fuser {
 public:
  explicit Fuser(Graph& g) : g_(g), uses_(g.use_counts()), makers_(g.makers()) {}

  void run() {
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      const OpDef* const op = g_.steps[i].op;
      if (op == &ops::batch_norm_eval && has_constants(g_.steps[i])) to_gain_and_shift(g_.steps[i]);
      else if (op == &ops::unary) join_activation(i);
    }
    g_.remove_dead();
  }

 private:
  const Step* maker(int v) const {
    const int i = makers_[static_cast<size_t>(v)];
    return i >= 0 ? &g_.steps[static_cast<size_t>(i)] : nullptr;
  }

  bool has_constants(const Step& s) const {
    if (g_.meta(s.in[0]).dtype == DType::f64) return false;
    for (size_t i = 1; i < s.in.size(); ++i) {
      if (s.in[i] < 0 && i < 3) continue;
      if (!g_.is_constant(s.in[i]) || g_.meta(s.in[i]).dtype != DType::f32) return false;
    }
    return true;
  }

  // As the kernel of the norm does: in f64, rounded once.
  void to_gain_and_shift(Step& s) {
    Tensor given[5];
    for (size_t i = 1; i < 5; ++i)
      if (s.in[i] >= 0) given[i] = contiguous(on_host(g_.values[static_cast<size_t>(s.in[i])].constant));
    const auto number = [&](size_t i, size_t c) { return static_cast<double>(given[i].data<float>()[c]); };
    const double eps = static_cast<double>(s.attrs.as<NormAttrs>().eps);
    const Shape channels{g_.meta(s.in[0]).shape[1]};
    const Device device = g_.meta(s.in[0]).device;
    Tensor gain = empty(channels), shift = empty(channels);
    for (size_t c = 0; c < static_cast<size_t>(channels[0]); ++c) {
      const double by = 1 / std::sqrt(number(4, c) + eps) * (given[1] ? number(1, c) : 1.0);
      gain.mutable_data<float>()[c] = static_cast<float>(by);
      shift.mutable_data<float>()[c] = static_cast<float>((given[2] ? number(2, c) : 0.0) - number(3, c) * by);
    }
    const std::string name = g_.values[static_cast<size_t>(s.in[3])].name;
    Step fused{&ops::scale_shift,
               AttrsRef::of(ScaleShiftAttrs{}),
               {g_.add_constant(gain.to(device), str_cat(name, ".gain")),
                g_.add_constant(shift.to(device), str_cat(name, ".shift"))},
               s.out,
               s.scope};
    add_parts(s.in[0], fused.in);
    uses_.resize(g_.values.size(), 1);
    makers_.resize(g_.values.size(), -1);
    s = std::move(fused);
  }

  // Appends the inputs of a cat over channels instead of its result. Cats of cats, as in dense blocks, are taken apart
  // as well. Every input must have the strides of its shape in the memory order of the whole. A cat that has other
  // readers stays in the graph.
  void add_parts(int x, std::vector<int>& parts) const {
    const Step* const s = maker(x);
    const bool joined = s && s->op == &ops::cat && s->attrs.as<AxisAttrs>().dim == 1;
    const auto lies_alike = [&](int part) {
      const Meta& m = g_.meta(part);
      return m.strides == strides_for(m.shape, g_.meta(x).memory());
    };
    if (!joined || !std::all_of(s->in.begin(), s->in.end(), lies_alike)) return parts.push_back(x);
    for (const int part : s->in) add_parts(part, parts);
  }

  // The fused step stands where the activation stood; what it gave before is read by nobody now.
  void join_activation(size_t at) {
    const UnaryAttrs u = g_.steps[at].attrs.as<UnaryAttrs>();
    const Step* const before = maker(g_.steps[at].in[0]);
    if (!before || before->op != &ops::scale_shift || u.fn < kFirstActivation) return;
    if (uses_[static_cast<size_t>(before->out[0])] != 1) return;
    if (before->attrs.as<ScaleShiftAttrs>().epilogue.act != Unary::identity) return;
    Step fused = *before;
    fused.attrs = AttrsRef::of(ScaleShiftAttrs{{.act = u.fn, .a = u.a, .b = u.b}});
    fused.out = g_.steps[at].out;
    if (infer_step(g_, fused)[0] != g_.meta(fused.out[0])) return;
    g_.steps[at] = std::move(fused);
    makers_[static_cast<size_t>(g_.steps[at].out[0])] = static_cast<int>(at);
  }

  Graph& g_;
  std::vector<int> uses_, makers_;
};

}  // namespace

void fuse_norm(Graph& g, const Target&) { Fuser(g).run(); }

}  // namespace fovea::passes
