// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/fold.cpp — steps on constants are run once, here: weight standardisation, position tables, layer
// scale.
#include <algorithm>

#include "engine/core/scope.h"
#include "engine/graph/passes/passes.h"

namespace fovea::passes {
namespace {

bool ready(const Graph& g, const Step& s) {
  if (s.op->traits.random || s.in.empty()) return false;
  return std::all_of(s.in.begin(), s.in.end(), [&](int v) {
    return v < 0 || (g.is_constant(v) && g.values[static_cast<size_t>(v)].constant.has_bytes());
  });
}

// A step that makes much more than it reads (a mask repeated for every sample) is cheaper to repeat than to keep.
bool worth_keeping(const Graph& g, const Step& s) {
  if (s.op->traits.view) return true;
  int64_t read = 0, made = 0;
  for (int v : s.in) read += g.meta(v).present() ? g.meta(v).bytes() : 0;
  for (int v : s.out) made += g.meta(v).bytes();
  constexpr int64_t kSmall = 16 << 20;
  return made <= kSmall || made <= 4 * read;
}

void evaluate(Graph& g, const Step& s) {
  const Scope scope(s.scope);
  Tensors in;
  for (int v : s.in) in.push_back(v < 0 ? Tensor() : g.values[static_cast<size_t>(v)].constant);
  const Tensors out = call(*s.op, in, s.attrs.ref());
  const std::string name = s.scope.empty() ? std::string(s.op->name()) : str_cat(s.scope, ".", s.op->name());
  for (size_t i = 0; i < out.size(); ++i) {
    Value& v = g.values[static_cast<size_t>(s.out[i])];
    v.constant = out[i];
    v.meta = out[i].meta();
    v.name = name;
  }
}

}  // namespace

void fold(Graph& g, const Target&) {
  std::vector<Step> kept;
  for (Step& s : g.steps) {
    if (ready(g, s) && worth_keeping(g, s)) evaluate(g, s);
    else kept.push_back(std::move(s));
  }
  g.steps = std::move(kept);
  g.remove_dead();
}

}  // namespace fovea::passes
