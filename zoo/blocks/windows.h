// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/windows.h — a map cut into windows, each a row of tokens, and who may see whom after the map was shifted.
#pragma once
#include "engine/core/tensor.h"
#include "nn/layers/conv.h"

namespace fovea::zoo {

/// N,H,W,C, whose sides windows divide -> [N * windows, area, C].
Tensor window_partition(const Tensor& x, Size2 window);
/// The way back to N,H,W,C.
Tensor window_reverse(const Tensor& tokens, Size2 window, Size2 map);

/// Rolling a map by -shift brings its first rows and columns to its end, where they share windows with tokens that are
/// no neighbours. [windows, area, area], for adding to scores: -100 between those, else 0.
Tensor shift_mask(Size2 map, Size2 window, Size2 shift);

}  // namespace fovea::zoo
