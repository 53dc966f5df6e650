// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/rebuild.h — Rebuild: writes a graph's steps anew, in order, with conversions put between them.
#pragma once
#include <map>
#include <utility>

#include "engine/graph/graph.h"
#include "engine/ops/ops.h"

namespace fovea::passes {

/// A pass takes the old steps one by one, asks for operands in the form it likes and emits what shall stand in their
/// place.
class Rebuild {
 public:
  explicit Rebuild(Graph& g) : g_(g), old_(std::move(g.steps)) {
    g.steps.clear();
    for (size_t i = 0; i < g.values.size(); ++i) {
      was_.push_back(g.values[i].meta);
      now_.push_back(static_cast<int>(i));
    }
  }

  std::vector<Step>& old_steps() { return old_; }
  const std::vector<Step>& old_steps() const { return old_; }
  /// What stands for an old value now, and what that value was like before.
  int now(int old) const { return old < 0 ? -1 : now_[static_cast<size_t>(old)]; }
  const Meta& was(int old) const { return was_[static_cast<size_t>(old)]; }
  void redirect(int old, int value) { now_[static_cast<size_t>(old)] = value; }

  /// Appends a step; its results are new values, or `out` (old numbers) with metas inferred again.
  int emit(Step s, std::vector<int> out = {}) {
    const Metas metas = infer_step(g_, s);
    s.out = std::move(out);
    for (size_t i = 0; i < metas.size(); ++i) {
      if (i < s.out.size()) g_.values[static_cast<size_t>(s.out[i])].meta = metas[i];
      else s.out.push_back(g_.add_value(metas[i]));
    }
    const int first = s.out.front();
    g_.steps.push_back(std::move(s));
    return first;
  }

  /// The value in another dtype or memory order: the same value, a constant converted now, or a step (made once).
  int cast_to(int v, DType t) {
    if (g_.meta(v).dtype == t) return v;
    return convert(v, {static_cast<int>(t), 0}, [&](const Tensor& c) { return cast(c, t); },
                   {&ops::cast, AttrsRef::of(CastAttrs{t}), {v}, {}, {}});
  }
  int copy_to(int v, Memory m) {
    const Meta& have = g_.meta(v);
    if (have.strides == strides_for(have.shape, m)) return v;
    return convert(v, {0, 1 + static_cast<int>(m)}, [&](const Tensor& c) { return contiguous(c, m); },
                   {&ops::copy, AttrsRef::of(CopyAttrs{m}), {v}, {}, {}});
  }

  /// Points outputs and state at what stands for them now.
  void finish() {
    for (int& v : g_.outputs) v = now(v);
    for (State& s : g_.state) s.out = now(s.out);
    g_.remove_dead();
  }

 private:
  template <class F>
  int convert(int v, std::pair<int, int> form, F on_constant, Step s) {
    const auto [it, first] = made_.try_emplace({v, form}, -1);
    if (!first) return it->second;
    if (g_.is_constant(v)) {
      const Value from = g_.values[static_cast<size_t>(v)];
      return it->second = g_.add_constant(on_constant(from.constant), from.name);
    }
    return it->second = emit(std::move(s));
  }

  Graph& g_;
  std::vector<Step> old_;
  Metas was_;
  std::vector<int> now_;
  std::map<std::pair<int, std::pair<int, int>>, int> made_;
};

}  // namespace fovea::passes
