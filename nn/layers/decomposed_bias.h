// SPDX-License-Identifier: Apache-2.0
// nn/layers/decomposed_bias.h — a bias of attention that depends on the query: its products with vectors that are
// learned for each offset, down and across. https://arxiv.org/abs/2112.01526
#pragma once
#include "nn/layers/conv.h"

namespace fovea {

/// Queries [N, heads, L, D] of a map and keys of the same map, perhaps pooled otherwise: [N, heads, L, S]. The rows of
/// the tables [offsets, D] are spaced as the finer of the two maps.
Tensor decomposed_bias(const Tensor& q, const Tensor& down, const Tensor& across, Size2 q_map, Size2 k_map);

}  // namespace fovea
