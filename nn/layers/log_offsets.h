// SPDX-License-Identifier: Apache-2.0
// nn/layers/log_offsets.h — the offsets of two tokens of a window on a logarithmic scale, for networks that make a bias
// of them.
#pragma once
#include "nn/layers/conv.h"

namespace fovea {

/// [offsets, 2], in the order of relative_positions(): the sign of each offset and log(1 + its size).
Tensor log_offsets(Size2 window);
/// The same from -8 to 8 and by log2(1 + size) / 3, so that the farthest two tokens of the window `full` are at
/// log2(9) / 3. https://arxiv.org/abs/2111.09883
Tensor scaled_log_offsets(Size2 window, Size2 full);

}  // namespace fovea
