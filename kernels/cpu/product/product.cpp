// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/product.h"

#include <algorithm>
#include <span>

#include "kernels/cpu/product/worker.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

struct OfFloats {
  using Product = cpu::Product;
  using Tile = cpu::Tile;
  static const TileSet<Tile>& tiles(const Product& p) { return p.on->f32->tiles; }
  static int rows(const Product& p) {
    const TileSet<Tile>& set = tiles(p);
    return p.packing.panels() == 1 && p.packing.joins() ? set.joined_rows : set.rows;
  }
  static int64_t depth(const Product& p) { return p.packing.depth; }
  static GridWork work(const Product& p, int64_t tiles) { return grid_work(*p.on, p.packing, p.rows, tiles); }

  static Tile frame(const Product& p) {
    return {.depth = p.packing.depth,
            .residual_step = p.residual_step,
            .y_step = p.y_step,
            .lo = p.finish.lo,
            .hi = p.finish.hi};
  }
  static void run(const Product& p, Tile& t, int64_t row, const Job& j) {
    t.bias = p.bias ? p.bias + j.column : nullptr;
    t.residual = p.residual ? p.residual + row * p.residual_step + j.column : nullptr;
    t.y = p.y + row * p.y_step + j.column;
    p.on->f32->tiles.tile(t, j.panels);
  }
  static void end(const Product& p, const Tile& t, int64_t row, std::span<const Job> jobs) {
    if (!p.finish.map) return;
    const int64_t first = jobs.front().column, columns = jobs.back().column + jobs.back().columns - first;
    const Epilogue& e = p.finish.act;
    float* y = p.y + row * p.y_step + first;
    const Loops& l = *p.on->f32;
    if (columns == p.y_step) return l.unary(e.act, e.a, e.b, y, y, t.rows * columns);
    for (int r = 0; r < t.rows; ++r, y += p.y_step) l.unary(e.act, e.a, e.b, y, y, columns);
  }
};

void pack_panel(const Packing& p, const Unpacked& from, int64_t group, int64_t panel, float* to) {
  const int64_t depth = p.taps * p.depth / (from.sizes[0] * from.sizes[1] * from.sizes[2]);
  const int64_t width = panel + 1 == p.panels() ? p.last_width() : p.panel;
  const int64_t given = std::min<int64_t>(width, p.columns - panel * p.panel);
  const float* column = from.w + (group * p.columns + panel * p.panel) * from.column;
  // A few of the depth at a time, column by column: each line of the source is read once, and what is written fits a
  // near cache.
  constexpr int64_t kDepth = 16;
  for (int64_t d = 0; d < depth; d += kDepth) {
    const int64_t few = std::min(kDepth, depth - d);
    float* tap_to = to + d * width;
    for (int64_t z = 0; z < from.sizes[0]; ++z)
      for (int64_t y = 0; y < from.sizes[1]; ++y)
        for (int64_t x = 0; x < from.sizes[2]; ++x, tap_to += depth * width) {
          const float* w = column + z * from.taps[0] + y * from.taps[1] + x * from.taps[2] + d * from.depth;
          if (from.depth == 1) {
            loops().turn(w, from.column, given, few, tap_to, width);
          } else if (from.column == 1) {
            for (int64_t i = 0; i < few; ++i) std::copy_n(w + i * from.depth, given, tap_to + i * width);
          } else {
            for (int64_t c = 0; c < given; ++c, w += from.column)
              for (int64_t i = 0; i < few; ++i) tap_to[i * width + c] = w[i * from.depth];
          }
          for (int64_t i = 0; i < few && given < width; ++i)
            std::fill(tap_to + i * width + given, tap_to + (i + 1) * width, 0.f);
        }
  }
}

}  // namespace

void pack_columns(const Packing& p, const Unpacked& from, float* to) {
  parallel_for(p.groups * p.panels(), std::max<int64_t>(1, 4096 / (p.panel_floats() + 1)),
               [&](int64_t first, int64_t last) {
                 for (int64_t i = first; i < last; ++i) {
                   const int64_t group = i / p.panels(), panel = i % p.panels();
                   pack_panel(p, from, group, panel, to + group * p.group_floats() + panel * p.panel_floats());
                 }
               });
}

GridWork grid_work(const Processor& on, const Packing& p, int64_t rows, int64_t tiles) {
  return {tiles, p.panels() * p.groups, static_cast<double>(rows) * static_cast<double>(p.bytes() / 4),
          p.bytes() / 4 > static_cast<size_t>(rows * p.depth), &on.costs};
}

void multiply(const Product& p, RowPointers<float> rows, const void* context) {
  multiply_by<OfFloats>(p, rows, context);
}

}  // namespace fovea::kernels::cpu
