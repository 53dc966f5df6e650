// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/quant_product.h — products of u8 rows, given as pointers, with packed s8 columns.
#pragma once
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

/// How weights lie once packed: for each group panels of [taps][quads][4 / together][column][together], zero-filled;
/// the quads of all taps are filled up to a multiple of `fill`, a power of two.
struct QuantPacking {
  int64_t groups = 1, columns = 0, taps = 1, depth = 0;      // columns and depth of one group
  int64_t fill = 1, together = 4;
  int64_t quads() const { return (depth + 3) / 4; }
  int64_t panels() const { return (columns + kQuantPanel - 1) / kQuantPanel; }
  int64_t padded_columns() const { return groups * panels() * kQuantPanel; }
  int64_t lines() const { return (taps * quads() + fill - 1) & -fill; }
  int64_t panel_bytes() const { return lines() * 4 * kQuantPanel; }
  size_t bytes() const { return static_cast<size_t>(groups * panels() * panel_bytes()); }
  /// In a panel.
  int64_t place(int64_t tap, int64_t at, int64_t column) const {
    const int64_t run = at / together - at / 4 * (4 / together);
    return (tap * quads() + at / 4) * 4 * kQuantPanel + (run * kQuantPanel + column) * together + at % together;
  }

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

/// Where an element is of u8, or of f32.
inline std::byte* element(const void* p, bool u8, int64_t at) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(p)) + (u8 ? at : at * 4);
}
/// Values in f32, `step` apart from row to row, which may be overwritten.
struct QuantValues {
  float* first;
  int64_t step, rows, columns;
};
/// f.y = e.act of the values: as u8 or f32.
void map_rows(const Processor& on, const Epilogue& e, const QuantFinish& f, const QuantValues& values);

}  // namespace fovea::kernels::cpu
