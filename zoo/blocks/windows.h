// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/windows.h — a map cut into windows, each a row of tokens, and who may see whom after the map was shifted.
#pragma once
#include "engine/core/tensor.h"
#include "engine/ops/ops.h"
#include "nn/layers/conv.h"

namespace fovea::zoo {

/// N,H,W,C, whose sides windows divide -> [N * windows, area, C].
Tensor window_partition(const Tensor& x, Size2 window);
/// The way back to N,H,W,C.
Tensor window_reverse(const Tensor& tokens, Size2 window, Size2 map);

/// N,H,W,C with zeros below and on the right, up to whole windows.
Tensor filled_to_windows(const Tensor& x, Size2 window);
/// The same of N,C,H,W.
Tensor filled_map_to_windows(const Tensor& x, Size2 window);
/// What f makes of the windows of N,H,W,C, filled where they reach beyond it: from and to [N * windows, area, C].
template <class F>
Tensor in_windows(const Tensor& x, Size2 window, F f) {
  const Tensor whole = filled_to_windows(x, window);
  const Size2 map(static_cast<int>(whole.dim(1)), static_cast<int>(whole.dim(2)));
  const Tensor y = window_reverse(f(window_partition(whole, window)), window, map);
  return map == Size2(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)))
             ? y
             : slice(slice(y, 1, 0, x.dim(1)), 2, 0, x.dim(2));
}

/// Rolling a map by -shift brings its first rows and columns to its end, where they share windows with tokens that are
/// no neighbours. [windows, area, area], for adding to scores: -100 between those, else 0.
Tensor shift_mask(Size2 map, Size2 window, Size2 shift);

}  // namespace fovea::zoo
