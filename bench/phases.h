// SPDX-License-Identifier: Apache-2.0
// bench/phases.h — which steps of a compiled training step are forward, backward and update.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/graph/graph.h"

namespace fovea::bench {

enum class Phase : uint8_t { forward, backward, update };

/// Of the steps that are no views, as Session::steps() lists them. The graph is one of train::Step: its inputs are
/// images, targets, rates and decays, the random step; its first result is the loss. What needs the rates updates.
/// What the loss needs, or what needs no targets, is forward. The rest is backward.
std::vector<Phase> phases_of(const Graph& training_step);

}  // namespace fovea::bench
