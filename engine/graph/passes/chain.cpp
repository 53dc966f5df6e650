// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/chain.cpp — pointwise steps of a training step become chains: what an update rule, a loss or a
// gradient writes as many ops reads and writes memory once.
#include <algorithm>
#include <map>

#include "engine/core/backend.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/lowered/chain.h"

namespace fovea::passes {
namespace {

class Chainer {
 public:
  explicit Chainer(Graph& g) : g_(g), readers_(g.values.size()), kept_(g.values.size()), cluster_(g.steps.size(), -1) {
    for (size_t i = 0; i < g.steps.size(); ++i)
      for (const int v : g.steps[i].in)
        if (v >= 0) readers_[at(v)].push_back(static_cast<int>(i));
    for (const int v : g.outputs) kept_[at(v)] = true;
    for (const State& s : g.state) kept_[at(s.out)] = true;
    makers_ = g.makers();
  }

  void run() {
    for (size_t i = 0; i < g_.steps.size(); ++i)
      if (fits(g_.steps[i])) join(static_cast<int>(i));
    rewrite();
  }

 private:
  using Cluster = std::vector<int>;                // steps in order; empty: it became part of another one
  static size_t at(int v) { return static_cast<size_t>(v); }

  bool small(int v) const { return g_.meta(v).numel() == 1; }

  bool fits(const Step& s) const {
    const Meta& y = g_.meta(s.out[0]);
    if (y.dtype != DType::f32 || y.numel() < 2 || y.strides != strides_for(y.shape, y.memory())) return false;
    const bool chooses = s.op == &ops::where;
    if (s.op != &ops::unary && s.op != &ops::unary_dx && s.op != &ops::binary && !chooses) return false;
    for (size_t i = 0; i < s.in.size(); ++i) {
      const Meta& m = g_.meta(s.in[i]);
      const bool condition = chooses && i == 0;
      if (m.dtype != (condition ? DType::boolean : DType::f32)) return false;
      if (condition ? m.numel() != 1 : m.numel() != 1 && m != y) return false;
      if (m.numel() == 1 && (s.op == &ops::unary || s.op == &ops::unary_dx)) return false;
    }
    return true;
  }

  // Steps that may stand between the parts of a chain: what takes little memory, or is about to be a chain, too.
  bool passes_by(int step) const {
    const Step& s = g_.steps[at(step)];
    return cluster_[at(step)] >= 0 || s.op->traits.view ||
           std::all_of(s.out.begin(), s.out.end(), [&](int v) { return g_.meta(v).numel() <= 64; });
  }

  // Whether `steps`, all of them done where the last one stands, leave every value there for who reads it.
  bool may_be_one(const std::vector<int>& steps) const {
    if (steps.size() > ChainAttrs::kMostLinks) return false;
    const int last = steps.back();
    const auto inside = [&](int step) { return std::binary_search(steps.begin(), steps.end(), step); };
    int results = 0;
    for (const int i : steps) {
      const int v = g_.steps[at(i)].out[0];
      bool outside = kept_[at(v)];
      for (const int r : readers_[at(v)]) {
        if (inside(r)) continue;
        if (r < last) return false;
        outside = true;
      }
      results += outside;
    }
    if (results > ChainAttrs::kMostResults) return false;
    for (int i = steps.front(); i < last; ++i)
      if (!inside(i) && !passes_by(i)) return false;
    return true;
  }

  void join(int step) {
    std::vector<int> parts;                        // clusters that made its operands
    for (const int v : g_.steps[at(step)].in) {
      const int maker = makers_[at(v)];
      if (maker < 0 || cluster_[at(maker)] < 0 || g_.meta(v) != g_.meta(g_.steps[at(step)].out[0])) continue;
      if (std::ranges::find(parts, cluster_[at(maker)]) == parts.end()) parts.push_back(cluster_[at(maker)]);
    }
    std::vector<int> together{step};
    std::vector<int> taken;
    for (const int c : parts) {
      std::vector<int> more = together;
      more.insert(more.end(), clusters_[at(c)].begin(), clusters_[at(c)].end());
      std::ranges::sort(more);
      if (!may_be_one(more)) continue;
      together = std::move(more);
      taken.push_back(c);
    }
    const int mine = static_cast<int>(clusters_.size());
    for (const int c : taken) clusters_[at(c)].clear();
    for (const int i : together) cluster_[at(i)] = mine;
    clusters_.push_back(std::move(together));
  }

  static Link link_of(const Step& s) {
    Link l;
    if (s.op == &ops::where) l.kind = Link::Kind::where;
    else if (s.op == &ops::binary) {
      l.kind = Link::Kind::binary;
      l.op = s.attrs.as<BinaryAttrs>().fn;
    } else {
      const auto& u = s.attrs.as<UnaryAttrs>();
      l.kind = s.op == &ops::unary ? Link::Kind::unary : Link::Kind::unary_dx;
      l.fn = u.fn, l.a = u.a, l.b = u.b;
    }
    return l;
  }

  Step as_chain(const std::vector<int>& steps) const {
    ChainAttrs a;
    Step out{&ops::chain, {}, {}, {}, g_.steps[at(steps.back())].scope};
    std::map<int, int> known;                      // a value, and how links name it
    for (const int i : steps) {
      const Step& s = g_.steps[at(i)];
      Link l = link_of(s);
      int16_t* const named[] = {&l.x, &l.y, &l.z};
      for (size_t k = 0; k < s.in.size(); ++k) {
        const auto [it, first] = known.try_emplace(s.in[k], static_cast<int>(out.in.size()));
        if (first) out.in.push_back(s.in[k]);
        *named[k] = static_cast<int16_t>(it->second);
      }
      a.links[at(a.size++)] = l;
      known[s.out[0]] = -a.size;
      const auto& readers = readers_[at(s.out[0])];
      const bool outside = kept_[at(s.out[0])] || std::ranges::any_of(readers, [&](int r) {
                             return !std::binary_search(steps.begin(), steps.end(), r);
                           });
      if (!outside) continue;
      a.results[at(a.given++)] = static_cast<int16_t>(a.size - 1);
      out.out.push_back(s.out[0]);
    }
    out.attrs = AttrsRef::of(a);
    return out;
  }

  bool plain(const Step& s) const { return make_plan(StepSite(g_, s).site())->name.starts_with("ref"); }

  // Not by the plain loops what was quick apart.
  bool worth_it(const Step& whole, const std::vector<int>& steps) const {
    return !plain(whole) || std::ranges::all_of(steps, [&](int i) { return plain(g_.steps[at(i)]); });
  }

  void rewrite() {
    std::vector<Step> chains(clusters_.size());    // without an op: the steps stay apart
    for (size_t c = 0; c < clusters_.size(); ++c) {
      if (clusters_[c].size() < 2) continue;
      Step s = as_chain(clusters_[c]);
      if (!s.out.empty() && worth_it(s, clusters_[c])) chains[c] = std::move(s);
    }
    std::vector<Step> steps;
    for (size_t i = 0; i < g_.steps.size(); ++i) {
      const int c = cluster_[i];
      if (c < 0 || !chains[at(c)].op) steps.push_back(g_.steps[i]);
      else if (clusters_[at(c)].back() == static_cast<int>(i)) steps.push_back(std::move(chains[at(c)]));
    }
    g_.steps = std::move(steps);
    g_.remove_dead();
  }

  Graph& g_;
  std::vector<std::vector<int>> readers_;          // of each value: steps
  std::vector<bool> kept_;                         // outputs and state
  std::vector<int> makers_, cluster_;
  std::vector<Cluster> clusters_;
};

}  // namespace

void chain(Graph& g, const Target&) {
  if (!g.state.empty()) Chainer(g).run();
}

}  // namespace fovea::passes
