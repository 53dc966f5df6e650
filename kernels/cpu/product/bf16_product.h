// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/bf16_product.h — y = finish(A B + bias + residual) in bf16 with sums in f32, where the processor
// multiplies pairs of bf16.
#pragma once
#include <cstdint>
#include <utility>

#include "engine/core/types.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/tile_set.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

/// Two neighbours along the depth, the first one in the low half; zero behind an odd depth.
using Pair = uint32_t;

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
extern const Bf16Set bf16_avx512, bf16_amx;
/// tile(t), and act(), which is more than a clamp, applied to the sums, which round to bf16 once, behind it.
template <class F>
void map_tile(const Loops& l, const Epilogue& act, Bf16Tile t, const F& tile) {
  alignas(64) float sums[32 * 48];                 // the most results of one call
  bfloat16* const y = std::exchange(t.y, nullptr);
  const int64_t y_step = std::exchange(t.y_step, t.columns);
  t.wide = sums;
  tile(t);
  map_to_bf16(l, {act, sums, y, t.columns, y_step, t.rows, t.columns});
}
using UseBf16Set = UseSet<Bf16Set>;
/// One panel and no residual, at least half of bf16_avx512's rows; a: [taps] of the first row, the others follow a_step
/// apart. Behind an odd depth one more element is read, which must be finite.
void stepped_bf16_tile(const Bf16Tile& t);         // isa/x86_64/avx512_bf16_tile.cpp
/// The best one; null where the processor, or the loops that UseLoops asks for, multiply f32 only.
const Bf16Set* bf16_set();

/// How a B of this many columns and elements of depth is packed.
Packing pair_packing(int64_t groups, int64_t columns, int64_t taps, int64_t depth);

/// As Unpacked: element d of a tap's depth is d / inner steps along taps[2] and d % inner along the depth.
struct UnpackedBf16 {
  const bfloat16* w;
  int64_t column, depth, taps[3], sizes[3];        // sizes of the taps that are not part of the depth
  int64_t elements, inner;                         // of one tap
};
void pack_pairs(const Packing& p, const UnpackedBf16& from, Pair* to);

struct Bf16Product {
  const Loops* loops = nullptr;
  const Bf16Set* set = nullptr;
  Packing packing;
  int64_t rows = 0, depth = 0;                     // depth in elements
  const Pair* b = nullptr;
  const float* bias = nullptr;
  const bfloat16* residual = nullptr;
  bfloat16* y = nullptr;                           // or
  float* wide = nullptr;                           // the sums themselves: no bias, residual or finish
  int64_t y_step = 0, residual_step = 0;           // from row to row
  Finish finish = Finish(Epilogue{});
};

/// Writes pointers[tap * step + r] for the rows [first, first + count) of A.
using Bf16RowPointers = void (*)(const void* context, int64_t first, int64_t count, const bfloat16** pointers,
                                 int64_t step);
void multiply(const Bf16Product& p, Bf16RowPointers rows, const void* context);

template <class F>
void multiply(const Bf16Product& p, const F& rows) {
  multiply(p, [](const void* c, int64_t first, int64_t count, const bfloat16** to, int64_t step) {
    (*static_cast<const F*>(c))(first, count, to, step);
  }, &rows);
}

inline const bfloat16* halves(const std::byte* p) { return reinterpret_cast<const bfloat16*>(p); }
inline bfloat16* halves(std::byte* p) { return reinterpret_cast<bfloat16*>(p); }
inline const Pair* pairs(const std::byte* p) { return reinterpret_cast<const Pair*>(p); }
inline Pair* pairs(std::byte* p) { return reinterpret_cast<Pair*>(p); }
bool all_bf16(const Site& s);                      // every operand and result that is present
bool accepts_bf16(const Site& s, const Epilogue& e);

/// The packed weights of a convolution or linear layer and its bias in f32: made once where they are constant, in
/// scratch otherwise.
class Bf16Operands {
 public:
  void reserve(const Site& s, size_t weight_bytes, size_t& scratch);
  size_t packed_bytes(int operand) const;
  void pack_bias(const std::byte* in, std::byte* out) const;
  const float* bias(const Args& a) const;          // null where there is none
  template <class Pack>
  const std::byte* weights(const Args& a, const Pack& pack) const {
    if (weights_packed_) return a.in[1];
    pack(a.in[1], a.scratch + weights_at_);
    return a.scratch + weights_at_;
  }

 private:
  size_t weight_bytes_ = 0;
  int64_t bias_ = 0;                               // elements; 0: none
  bool weights_packed_ = false, bias_packed_ = false;
  size_t weights_at_ = 0, bias_at_ = 0;
};

}  // namespace fovea::kernels::cpu
