// SPDX-License-Identifier: Apache-2.0
// engine/ops/peers.h — sums over the processes that compute together (engine/core/peers.h), as ops of a graph.
#pragma once
#include <span>

#include "engine/core/op.h"

namespace fovea {

namespace ops {
extern const OpDef peers_begin, peers_end;
}

/// f32 or f64, all alike: their numbers one behind the other, on their way to being summed. Ops in between run
/// meanwhile.
Tensor begin_sum_over_peers(std::span<const Tensor> xs);
Tensor end_sum_over_peers(const Tensor& bucket);   // the sums, as they were begun
/// Both at once. Differentiates as a part of what all processes compute together.
Tensor sum_over_peers(const Tensor& x);

}  // namespace fovea
