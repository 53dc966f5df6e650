// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/pieces.h — how threads share the gradient of a convolution's weights. Sums have the same bits for
// any number of threads: what is cut depends on shapes alone.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/core/types.h"
#include "engine/ops/attrs.h"

namespace fovea::kernels::cpu {

/// A part of the sum over places, for some of the outputs.
struct WeightPiece {
  int64_t image, images;
  int64_t output, outputs;
  int64_t gy_row, gy_rows;                         // of the first spatial dimension; all of them unless images is 1
  int64_t x_row, x_rows, pad_lo, pad_hi;           // what these rows read
  int64_t sum;                                     // pieces of one number are one sum; 0 is where the others are added
};

/// Dense convolutions are cut by images and outputs, whose sums are large; others by images and, channels-last, by
/// rows, whose sums are small. At least 16 pieces, where there are so many images, rows or whole vectors of outputs.
std::vector<WeightPiece> weight_pieces(const ConvAttrs& a, const Meta& gy, const Meta& x, const Meta& gw);

}  // namespace fovea::kernels::cpu
