// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/quant_product.h — products of u8 rows, given as pointers, with packed s8 columns.
#pragma once
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/product.h"

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

  // As in Packing.
  static constexpr int64_t panel = kQuantPanel;
  int64_t start(int64_t group, int64_t at) const { return (group * panels() + at) * panel_bytes(); }
  int64_t whole_panels() const { return panels(); }
  int64_t panel_step() const { return panel_bytes(); }
};

struct QuantProduct {
  using Element = uint8_t;
  const Processor* on = nullptr;
  QuantPacking packing;
  int64_t rows = 0;
  const int8_t* b = nullptr;                       // the first panel
  QuantFinish finish{};                            // scale and bias by packed columns, y and residual by columns
  Epilogue map;                                    // a function that is more than a clamp
};
void multiply(const QuantProduct& p, RowPointers<uint8_t> rows, const void* context);

}  // namespace fovea::kernels::cpu
