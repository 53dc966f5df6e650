// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/quant_product.h — products of u8 rows, given as pointers, with packed s8 columns.
#pragma once
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/quant_tile.h"

namespace fovea::kernels::cpu {

/// How weights lie once packed: for each group panels of [taps][quads][column][4], zero-filled; the quads of all taps
/// are filled up to a multiple of `fill`, a power of two.
struct QuantPacking {
  int64_t groups = 1, columns = 0, taps = 1, depth = 0;      // columns and depth of one group
  int64_t fill = 1;
  int64_t quads() const { return (depth + 3) / 4; }
  int64_t panels() const { return (columns + kQuantPanel - 1) / kQuantPanel; }
  int64_t padded_columns() const { return groups * panels() * kQuantPanel; }
  int64_t lines() const { return (taps * quads() + fill - 1) & -fill; }
  int64_t panel_bytes() const { return lines() * 4 * kQuantPanel; }
  size_t bytes() const { return static_cast<size_t>(groups * panels() * panel_bytes()); }
};

/// Writes pointers[tap * step + r] for the rows [first, first + count) of A.
using QuantRows = void (*)(const void* context, int64_t first, int64_t count, const uint8_t** pointers, int64_t step);

struct QuantProduct {
  const Loops* loops = nullptr;                    // for functions that are more than a clamp
  const QuantSet* set = nullptr;
  QuantPacking packing;
  int64_t rows = 0;
  const int8_t* b = nullptr;                       // the first panel
  QuantFinish finish{};                            // scale and bias by packed columns, y and residual by columns
  Epilogue map;                                    // a function that is more than a clamp
};
void multiply(const QuantProduct& p, QuantRows rows, const void* context);

}  // namespace fovea::kernels::cpu
