// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/u8.h — products and loops of 8-bit integers, a set for each kind of processor.
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

/// One register tile of sums of products. B is packed in panels of kQuantPanel columns:
/// [depth / 4][column][4], or [depth / 2][column][2].
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

struct QuantLoops {
  const char* name;
  void (*quantize)(const float* x, float inverse, float zero, uint8_t* y, int64_t n);
  // n = round(x * inverse + zero), between 0 and 4095: n / 16 and n modulo 16
  void (*quantize_fine)(const float* x, float inverse, float zero, uint8_t* high, uint8_t* low, int64_t n);
  void (*dequantize)(const uint8_t* x, float scale, float shift, float* y, int64_t n);
  // rows of n channels, one behind the other: y = round((x - x_zero) * gate[c] * factor + zero); `factor` is scale of x
  // over scale of y
  void (*gate)(const uint8_t* x, int64_t rows, float x_zero, const float* gate, float factor, float zero, uint8_t* y,
               int64_t n);
  // y[c] = (sum of channel c over `rows`, which lie `step` apart, less shift) * each; up to eight million rows
  void (*mean)(const uint8_t* x, int64_t step, int64_t rows, int32_t shift, float each, float* y, int64_t n);
  void (*largest)(const uint8_t* x, uint8_t* y, int64_t n);             // y = max(x, y)
  /// Depthwise convolutions by pairs of taps, of weights that are packed for DepthwisePairs, as Bf16Loops::depthwise;
  /// exact sums. Null where the processor does not multiply those.
  void (*depthwise)(const DepthwiseTileOf<uint8_t>& t) = nullptr;
  void (*depthwise_to_f32)(const DepthwiseTileOf<uint8_t, float>& t) = nullptr;
};

/// Winograd's F(4x4, 3x3) in integers (https://arxiv.org/abs/1509.09308), by points 0, +-1, +-2 and infinity. Pixels
/// less 128 become 36 values of 16 bits, up to 12800. Filters become 36 values, up to 18288, of the scaled transform
/// (2, 0, 0), (4, 4, 4), (4, -4, 4), (1, 2, 4), (1, -2, 4), (0, 0, 8), both ways. The way back gives 576 times each
/// result, modulo 2^32: the results themselves where they lie within 25 bits and a sign, whatever sums lie beyond 32
/// bits on the way.
constexpr int64_t kMostQuantResult = (int64_t{1} << 25) - 1;

/// A pointer for each of six by six pixels, and values at 36 points, v_step apart. Channels: a multiple of 32.
struct QuantWinogradInput {
  const uint8_t* x[36];
  int16_t* v;
  int64_t v_step, channels;
};
/// y[rows][kQuantPanel] = rows of A, a_step elements apart, by a panel of B: [depth / 2][column][2].
struct QuantWinogradProduct {
  const int16_t* a;
  int64_t a_step, depth;
  const int16_t* b;
  int32_t* y;
  int rows;
  int64_t columns;                                 // of the panel that are needed
};
/// Products at 36 points, m_step apart, become four by four results of a panel: [4][4][kQuantPanel].
struct QuantWinogradOutput {
  const int32_t* m;
  int64_t m_step;
  const int32_t* start;                            // of each column, added to all; null: what y holds is added instead
  int32_t* y;
};

struct QuantWinograd {
  const char* name;
  int rows;                                        // most of a product
  void (*input)(const QuantWinogradInput& t);
  void (*multiply)(const QuantWinogradProduct& t);
  void (*output)(const QuantWinogradOutput& t);
  /// What becomes of rows of kQuantPanel sums each, of f's first columns.
  void (*finish)(const QuantFinish& f, const int32_t* sums, int rows, int64_t columns);
};

}  // namespace fovea::kernels::cpu
