// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/product.h — y = finish(A B + bias + residual) with packed B; A's rows are pointers, so that
// convolutions are products too.
#pragma once
#include <cstdint>

#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/grid.h"

namespace fovea::kernels::cpu {

/// How B lies once packed: for each group, panels of [taps][depth][panel] columns, the last one with one, two or three
/// vectors of them. Zeros behind the last tap make the depth of all taps a multiple of `fill`, a power of two.
struct Packing {
  int64_t groups = 1, columns = 0, taps = 1, depth = 0;   // columns and depth of one group
  int lanes = 0, panel = 0, fill = 1;
  Packing() = default;
  Packing(const Loops& l, int64_t groups, int64_t columns, int64_t taps, int64_t depth)
      : groups(groups), columns(columns), taps(taps), depth(depth), lanes(l.lanes), panel(l.panel) {}
  // A remainder of at most one vector joins the panel before it: alone it could not keep the multipliers busy.
  bool joins() const { return columns >= panel && columns % panel > 0 && columns % panel <= lanes; }
  int64_t panels() const { return columns / panel + (columns % panel > 0 && !joins()); }
  int64_t last_width() const {
    const int64_t rest = columns % panel;
    return rest == 0 ? panel : joins() ? panel + lanes : rest <= lanes ? lanes : panel;
  }
  int64_t lines() const { return (taps * depth + fill - 1) & -int64_t{fill}; }   // of a panel
  int64_t panel_floats() const { return lines() * panel; }
  int64_t group_floats() const { return (panels() - 1) * panel_floats() + lines() * last_width(); }
  size_t bytes() const { return static_cast<size_t>(groups * group_floats()) * sizeof(float); }

  // As Worker asks: where a panel starts, panels of whole width, the step between them, and bytes, in elements of B.
  int64_t start(int64_t group, int64_t at) const { return group * group_floats() + at * panel_floats(); }
  int64_t whole_panels() const { return last_width() == panel ? panels() : panels() - 1; }
  int64_t panel_step() const { return panel_floats(); }
  int64_t panel_bytes() const { return panel_floats() * static_cast<int64_t>(sizeof(float)); }
};

/// Where the elements of an unpacked B are: the strides of a column, of one of the depth, and of three spatial
/// dimensions of taps.
struct Unpacked {
  const float* w;
  int64_t column, depth, taps[3], sizes[3];
};
/// The taps of `from` may be more than p.taps: then the innermost ones belong to the depth, in the order (tap, depth).
void pack_columns(const Packing& p, const Unpacked& from, float* to);

struct Product {
  using Element = float;
  const Processor* on = nullptr;
  Packing packing;
  int64_t rows = 0;
  const float* b = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* y = nullptr;
  int64_t y_step = 0, residual_step = 0;           // from row to row
  Finish finish;
};

/// Writes pointers[tap * step + r] for the rows [first, first + count) of A.
template <class T>
using RowPointers = void (*)(const void* context, int64_t first, int64_t count, const T** pointers, int64_t step);
void multiply(const Product& p, RowPointers<float> rows, const void* context);

/// The same for rows(first, count, pointers, step), whatever the elements.
template <class P, class F>
void multiply(const P& p, const F& rows) {
  using T = typename P::Element;
  multiply(p, [](const void* c, int64_t first, int64_t count, const T** to, int64_t step) {
    (*static_cast<const F*>(c))(first, count, to, step);
  }, &rows);
}

/// How the threads share it, of `rows` rows in so many tiles.
GridWork grid_work(const Processor& on, const Packing& p, int64_t rows, int64_t tiles);

}  // namespace fovea::kernels::cpu
