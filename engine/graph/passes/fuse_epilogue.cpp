// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fuse_epilogue.cpp — residual sums and activations join the convolution or product in front of
// them, where its kernel says that it can do them before storing.
#include "engine/core/backend.h"
#include "engine/core/scope.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/passes/rebuild.h"

namespace fovea::passes {
namespace {

bool takes_residual(const OpDef* op) { return op->epilogue.residual >= 0; }

// sum(view(conv), other) = view(sum(conv, view back(other))): sums and activations move in front of the views that
// stand between them and their convolution or product.
class ViewsLast {
 public:
  explicit ViewsLast(Graph& g) : g_(g), uses_(g.use_counts()), makers_(g.makers()), r_(g) {}

  void run() {
    for (Step& s : r_.old_steps()) {
      for (int& v : s.in) v = r_.now(v);
      const std::vector<int> out = s.out;
      if (const int moved = is_sum(s) || s.op == &ops::unary ? moved_forward(s) : -1; moved >= 0)
        r_.redirect(out[0], moved);
      else r_.emit(s, out);
    }
    r_.finish();
  }

 private:
  static bool is_sum(const Step& s) { return s.op == &ops::binary && s.attrs.as<BinaryAttrs>().fn == Binary::add; }

  // The views between a conv or linear and v, first to last; nobody else may look at what lies between.
  std::vector<const Step*> views_behind(int v) const {
    std::vector<const Step*> views;
    while (static_cast<size_t>(v) < makers_.size() && makers_[static_cast<size_t>(v)] >= 0 &&
           uses_[static_cast<size_t>(v)] == 1) {
      const Step& s = r_.old_steps()[static_cast<size_t>(makers_[static_cast<size_t>(v)])];
      if (takes_residual(s.op)) return {views.rbegin(), views.rend()};
      if (s.op != &ops::permute && s.op != &ops::reshape) break;
      views.push_back(&s);
      v = s.in[0];
    }
    return {};
  }

  int moved_forward(const Step& s) {
    for (size_t i = 0; i < s.in.size(); ++i) {
      const std::vector<const Step*> views = views_behind(s.in[i]);
      if (views.empty()) continue;
      try {
        if (const int v = moved_before(views, s, i); v >= 0) return v;
      } catch (const Error&) {                     // the other operand has no such view
      }
    }
    return -1;
  }

  int moved_before(const std::vector<const Step*>& views, const Step& s, size_t chained) {
    Step moved = s;
    moved.out.clear();
    for (size_t i = 0; i < s.in.size(); ++i) {
      if (g_.meta(s.in[i]).shape != g_.meta(s.in[chained]).shape) return -1;
      if (i == chained) moved.in[i] = views.front()->in[0];
      else
        for (size_t k = views.size(); k-- > 0;) moved.in[i] = r_.emit(view_back(*views[k], moved.in[i]));
    }
    int v = r_.emit(moved);
    if (g_.meta(v) != g_.meta(views.front()->in[0])) return -1;
    for (const Step* view : views) v = r_.emit({view->op, view->attrs, {v}, {}, view->scope});
    return g_.meta(v) == g_.meta(s.out[0]) ? v : -1;
  }

  Step view_back(const Step& view, int v) const {
    if (view.op == &ops::reshape)
      return {&ops::reshape, AttrsRef::of(ShapeAttrs{g_.meta(view.in[0]).shape}), {v}, {}, view.scope};
    const Dims& order = view.attrs.as<PermuteAttrs>().order;
    Dims back = Dims::filled(order.size(), 0);
    for (int i = 0; i < order.size(); ++i) back[static_cast<int>(order[i])] = i;
    return {&ops::permute, AttrsRef::of(PermuteAttrs{back}), {v}, {}, view.scope};
  }

  Graph& g_;
  const std::vector<int> uses_, makers_;
  Rebuild r_;
};

class Fuser {
 public:
  explicit Fuser(Graph& g) : g_(g), uses_(g.use_counts()), makers_(g.makers()) {}

  void run() {
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      const Step& s = g_.steps[i];
      if (s.op == &ops::unary) try_activation(i);
      else if (s.op == &ops::binary && s.attrs.as<BinaryAttrs>().fn == Binary::add) try_residual(i);
    }
    g_.remove_dead();
  }

 private:
  const Epilogue& epilogue_of(size_t step) const { return g_.steps[step].op->epilogue_in(g_.steps[step].attrs.ref()); }

  // The conv or linear that makes v for nobody else, or -1.
  int fusable(int v) const {
    if (v < 0 || uses_[static_cast<size_t>(v)] != 1) return -1;
    const int maker = makers_[static_cast<size_t>(v)];
    return maker >= 0 && takes_residual(g_.steps[static_cast<size_t>(maker)].op) ? maker : -1;
  }

  void try_activation(size_t at) {
    const Step& s = g_.steps[at];
    const UnaryAttrs& a = s.attrs.as<UnaryAttrs>();
    const int maker = fusable(s.in[0]);
    if (maker < 0 || a.fn < kFirstActivation) return;
    Epilogue e = epilogue_of(static_cast<size_t>(maker));
    if (e.act != Unary::identity) return;
    e.act = a.fn;
    e.a = a.a;
    e.b = a.b;
    fuse(static_cast<size_t>(maker), at, e, -1);
  }

  // Of two candidates the later one takes the sum: what the earlier one made is there by then.
  void try_residual(size_t at) {
    const std::vector<int> in = g_.steps[at].in;
    int first = fusable(in[0]), second = fusable(in[1]);
    int other_of_first = in[1], other_of_second = in[0];
    if (second > first) std::swap(first, second), std::swap(other_of_first, other_of_second);
    if (first >= 0 && add_residual(static_cast<size_t>(first), at, other_of_first)) return;
    if (second >= 0) add_residual(static_cast<size_t>(second), at, other_of_second);
  }

  bool add_residual(size_t maker, size_t at, int other) {
    Epilogue e = epilogue_of(maker);
    const Meta& sum = g_.meta(g_.steps[at].out[0]);
    if (!e.empty() || g_.meta(other) != sum || g_.meta(g_.steps[maker].out[0]) != sum) return false;
    e.residual = true;
    return fuse(maker, at, e, other);
  }

  // The fused step stands where its last part stood, so that all operands are there.
  bool fuse(size_t maker, size_t at, const Epilogue& e, int residual) {
    Step fused = g_.steps[maker];
    if (!accepted(fused, e)) return false;
    if (residual >= 0) {
      const auto operand = static_cast<size_t>(fused.op->epilogue.residual);
      fused.in.resize(operand + 1, -1);
      fused.in[operand] = residual;
    }
    fused.op->set_epilogue(fused.attrs, e);
    fused.out = g_.steps[at].out;
    if (infer_step(g_, fused)[0] != g_.meta(fused.out[0])) return false;
    g_.steps[at] = std::move(fused);               // the old maker's result is unused now
    makers_[static_cast<size_t>(g_.steps[at].out[0])] = static_cast<int>(at);
    return true;
  }

  // Kernels are asked about the plain step with all that is to follow it.
  bool accepted(const Step& s, const Epilogue& e) const {
    Step plain = s;
    plain.op->set_epilogue(plain.attrs, {});
    const auto residual = static_cast<size_t>(s.op->epilogue.residual);
    if (plain.in.size() > residual) plain.in.resize(residual);
    const StepSite site(g_, plain);
    const Scope scope(s.scope);
    return accepts_epilogue(site.site(), e);
  }

  Graph& g_;
  std::vector<int> uses_, makers_;
};

}  // namespace

void fuse_epilogue(Graph& g, const Target&) {
  ViewsLast(g).run();
  Fuser(g).run();
}

}  // namespace fovea::passes
