// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/quant_tile.h — register tiles of integer products, a set for each kind of processor.
#pragma once
#include <cstdint>

#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/tile_set.h"

namespace fovea::kernels::cpu {

/// What becomes of a sum: v = scale[c] * (sum + bias[c]) [+ residual], a function, and u8 or f32.
struct QuantFinish {
  const float* scale;                              // of the first column
  const int32_t* bias;
  const void* residual;                            // of the first row and column; may be null
  int64_t residual_step;
  float residual_scale, residual_shift;            // u8: value = scale * q + shift
  void* y;
  int64_t y_step;
  float lo, hi;                                    // v is clamped to these ...
  float inverse, zero;                             // ... and becomes round(v * inverse + zero)
  bool residual_u8, y_u8, hard_swish;
};

/// One register tile of sums of products. B is packed in panels of kQuantPanel columns: [depth / 4][column][4].
struct QuantTile {
  const uint8_t* const* a;                         // [taps][a_step]: where each row's elements start
  int64_t a_step, a_offset;                        // a_offset is added to every pointer: the group
  int64_t taps, quads;                             // quads: depth / 4
  const int8_t* b;
  int64_t b_step;                                  // from one panel to the next
  int rows, most_rows;                             // of this tile, and of the largest one of its product
  int64_t columns;
  const std::byte* copy;                           // of the rows, copy_step bytes apart; where the set has them copied
  int64_t copy_step;
  QuantFinish finish;                              // scale and bias are filled up to whole panels
};

constexpr int kQuantPanel = 32;                    // columns

using QuantSet = TileSet<QuantTile>;
extern const QuantSet quant_plain, quant_vnni, quant_amx;
using UseQuantSet = UseSet<QuantSet>;
/// The best one that goes with loops(): AVX-512's where it has VNNI, AMX's where it has that.
const QuantSet& quant_set();

}  // namespace fovea::kernels::cpu
