// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/bf16_product.h — y = finish(A B + bias + residual) in bf16 with sums in f32, where the processor
// multiplies pairs of bf16.
#pragma once
#include <cstdint>
#include <utility>

#include "engine/core/types.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

/// tile(t), and act(), which is more than a clamp, applied to the sums, which round to bf16 once, behind it.
template <class F>
void map_tile(const Processor& on, const Epilogue& act, Bf16Tile t, const F& tile) {
  alignas(64) float sums[32 * 48];                 // the most results of one call
  bfloat16* const y = std::exchange(t.y, nullptr);
  const int64_t y_step = std::exchange(t.y_step, t.columns);
  t.wide = sums;
  tile(t);
  map_to_bf16(on, {act, sums, y, t.columns, y_step, t.rows, t.columns});
}

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
  using Element = bfloat16;
  const Processor* on = nullptr;
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

void multiply(const Bf16Product& p, RowPointers<bfloat16> rows, const void* context);

bool accepts_bf16(const Site& s, const Epilogue& e);

}  // namespace fovea::kernels::cpu
