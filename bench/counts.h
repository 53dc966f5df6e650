// SPDX-License-Identifier: Apache-2.0
// bench/counts.h — how much a model computes, counted as timm's tables count it.
#pragma once
#include "engine/graph/graph.h"

namespace fovea::bench {

struct Counts {
  // multiply-adds of products; norms and average pools as fvcore has it
  double macs = 0;
  double activations = 0;                          // elements that products give
};
/// Of a graph as it was traced, in front of all passes.
Counts count(const Graph& traced);

}  // namespace fovea::bench
