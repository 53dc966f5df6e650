// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_sdpa.h — attention within windows, of which some may not see all of their own tokens.
#pragma once
#include <array>

#include "engine/ops/ops.h"

namespace fovea {

/// Queries, keys and values [N * windows, heads, area, D], the windows of an image one after the other -> [N * windows,
/// area, heads * D]. bias [heads, area, area] and mask [windows, area, area], if there is one, are added to the scores.
Tensor window_sdpa(const std::array<Tensor, 3>& qkv, const Tensor& bias, const Tensor& mask,
                   const AttentionOptions& o = {});

}  // namespace fovea
