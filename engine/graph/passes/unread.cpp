// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/unread.cpp — results that nobody reads are not computed: where the largest elements come from.
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea::passes {

void unread(Graph& g, const Target&) {
  const std::vector<int> uses = g.use_counts();
  for (Step& s : g.steps) {
    if (s.op != &ops::max_pool || s.out.size() != 2 || uses[static_cast<size_t>(s.out[1])] > 0) continue;
    PoolAttrs a = s.attrs.as<PoolAttrs>();
    a.values_only = true;
    s.attrs = AttrsRef::of(a);
    s.out.resize(1);
  }
  g.remove_dead();
}

}  // namespace fovea::passes
