// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/own_results.cpp — results stay readable until the next run, and state is updated last of all:
// what either names must be the session's own bytes.
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea::passes {

void own_results(Graph& g, const Target&) {
  std::vector<int> root(g.values.size());
  std::vector<bool> made(g.values.size(), false);
  for (size_t v = 0; v < root.size(); ++v) root[v] = static_cast<int>(v);
  for (const Step& s : g.steps)
    for (int v : s.out) {
      if (s.op->traits.view) root[static_cast<size_t>(v)] = root[static_cast<size_t>(s.in[0])];
      else made[static_cast<size_t>(v)] = true;
    }
  const auto copied = [&](int v) {
    return g.insert_step(g.steps.size(), {&ops::copy, AttrsRef::of(CopyAttrs{g.meta(v).memory()}), {v}, {}, {}});
  };
  for (int& v : g.outputs)
    if (!made[static_cast<size_t>(root[static_cast<size_t>(v)])]) v = copied(v);
  for (State& s : g.state)
    if (s.out != s.in && !(made[static_cast<size_t>(s.out)] && root[static_cast<size_t>(s.out)] == s.out))
      s.out = copied(s.out);
}

}  // namespace fovea::passes
