// SPDX-License-Identifier: Apache-2.0
// nn/layers/relative_bias.h — what attention adds to the score of two tokens of a window: a learned table's row for the
// offset between them.
#pragma once
#include <optional>

#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

/// The row of the table for each pair of tokens: i64 [area, area]. A window has (2h - 1)(2w - 1) offsets, counted line
/// by line from the top left.
Tensor relative_positions(Size2 window);

/// Of a table [offsets, heads]: [heads, area, area].
Tensor relative_bias(const Tensor& table, const Tensor& positions);

/// The table for another window, computed in f32. Offsets near 0 matter most, so the old rows lie close together there
/// and ever further apart to the ends of the new table; between them it is linear. Without `old` the old window is
/// square, or the new one where the table cannot be of a square.
Tensor resample_relative_bias(const Tensor& table, Size2 window, std::optional<Size2> old = {});

}  // namespace fovea
