// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/bf16.h — what processors that multiply pairs of bf16 have beside the loops in f32.
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/core/epilogue.h"
#include "engine/core/types.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/tile_set.h"

namespace fovea::kernels::cpu {

struct Packing;

/// Two neighbours along the depth, the first one in the low half; zero behind an odd depth.
using Pair = uint32_t;
inline const Pair* pairs(const std::byte* p) { return reinterpret_cast<const Pair*>(p); }
inline Pair* pairs(std::byte* p) { return reinterpret_cast<Pair*>(p); }

/// One register tile of y = clip(A B + bias [+ residual]). B is packed in panels as Packing says, with pairs for
/// floats. (16 lines of pairs are a tile of AMX.)
struct Bf16Tile {
  const bfloat16* const* a;                        // [taps][a_step]: where each row's depth elements start
  int64_t a_step, a_offset;                        // a_offset is added to every pointer: the group
  int64_t taps, depth;                             // depth in elements
  const Pair* b;
  int64_t b_step;                                  // from one panel to the next
  const float* bias;                               // of the first column; may be null
  const bfloat16* residual;                        // of the first row and column; may be null
  int64_t residual_step;
  bfloat16* y;                                     // null: `wide` is written instead
  float* wide;
  int64_t y_step;
  int rows, most_rows;                             // of this tile, and of the largest one of its product
  int64_t columns;
  float lo, hi;
  bool hard_swish;                                 // instead of lo and hi
  const std::byte* copy;                           // of the rows, copy_step bytes apart; where the set has them copied
  int64_t copy_step;
};

using Bf16Set = TileSet<Bf16Tile>;

/// y = e.act(x); the sums may be overwritten.
struct Bf16Map {
  Epilogue e;
  float* x;
  bfloat16* y;
  int64_t x_step, y_step, rows, columns;
};
/// y = round(e.act(x) * inverse + zero), to nearest even, clamped to 0 ... 255. The sums may be overwritten. e.act is
/// as exact as in map_to_bf16().
struct ByteMap {
  Epilogue e;
  float* x;
  uint8_t* y;
  int64_t x_step, y_step, rows, columns;
  float inverse, zero;
};

/// Rows of scores become weights e^(scale score + mask - largest) in bf16; zeros where everything is masked.
struct Bf16Weights {
  float* scores;                                   // are written over, in whole vectors
  bfloat16* weights;                               // in whole vectors, zeros behind the last key
  int64_t step;                                    // from row to row of both
  float* shares;                                   // 1 / the sum of each row's weights
  const bfloat16* added;                           // masks of the first row; null, or ...
  const uint8_t* allowed;                          // ... one of the two
  int64_t mask_step;                               // in bytes
  float scale;
  int64_t rows, keys;
  // keys that the first row sees, and each one more than the one before
  int64_t seen, more;
  int64_t seen_by(int64_t row) const { return seen + row * more < keys ? seen + row * more : keys; }
};

/// Rows of sums, readable in 32s, times their shares, rounded.
struct Bf16Shared {
  const float *sums, *shares;
  bfloat16* y;
  int64_t sums_step, y_step, rows, columns;
};

struct Bf16Loops {
  const char* name;                                // "avx512_bf16"
  /// One panel and no residual, at least half of the rows of tiles; a: [taps] of the first row, the others follow
  /// a_step apart. Behind an odd depth one more element is read, which must be finite.
  void (*stepped_tile)(const Bf16Tile& t);
  /// Of weights that are packed for DepthwisePairs. t.w: of t's first channel, a multiple of 32; t.w_step: from 32 of
  /// them to the next. Null where loops in f32 are as fast.
  void (*depthwise)(const Bf16DepthwiseTile& t);
  /// False where the function is not among theirs; results have as many bits as bf16 and bytes show. Null: none is.
  bool (*map)(const Bf16Map& m);
  bool (*map_to_bytes)(const ByteMap& m);
  /// B of q k^T, and of weights v: keys or values lie in rows, row_step apart.
  void (*pack_keys)(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to);
  void (*pack_values)(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to);
  void (*weights)(const Bf16Weights& t);
  void (*share)(const Bf16Shared& t);
};

}  // namespace fovea::kernels::cpu
