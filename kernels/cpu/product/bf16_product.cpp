// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/bf16_product.h"

#include <algorithm>
#include <span>

#include "kernels/cpu/product/worker.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

namespace {

struct OfPairs {
  using Product = Bf16Product;
  using Tile = Bf16Tile;
  static const Bf16Set& tiles(const Product& p) { return *p.on->bf16_tiles; }
  static int rows(const Product& p) { return tiles(p).rows; }
  static int64_t depth(const Product& p) { return p.depth; }
  static GridWork work(const Product& p, int64_t tiles) {
    GridWork w = grid_work(*p.on, p.packing, p.rows, tiles);
    w.multiplications /= p.on->bf16_tiles->speed;
    return w;
  }

  static Tile frame(const Product& p) {
    Tile t{};
    t.depth = p.depth;
    t.residual_step = p.residual_step;
    t.y_step = p.y_step;
    t.lo = p.finish.lo;
    t.hi = p.finish.hi;
    t.hard_swish = p.finish.act.act == Unary::hard_swish;
    return t;
  }
  static void run(const Product& p, Tile& t, int64_t row, const Job& j) {
    t.bias = p.bias ? p.bias + j.column : nullptr;
    t.residual = p.residual ? p.residual + row * p.residual_step + j.column : nullptr;
    if (p.wide) t.wide = p.wide + row * p.y_step + j.column;
    else t.y = p.y + row * p.y_step + j.column;
    const auto tile = [&](const Tile& one) { p.on->bf16_tiles->tile(one, j.panels); };
    if (p.finish.map && !t.hard_swish) map_tile(*p.on, p.finish.act, t, tile);
    else tile(t);
  }
  static void end(const Product&, const Tile&, int64_t, std::span<const Job>) {}
};

Pair pair_of(bfloat16 low, bfloat16 high) { return static_cast<Pair>(high.bits) << 16 | low.bits; }

// Columns whose elements lie side by side, two and two as they are to lie: [given][elements] turned.
void pack_adjacent(const UnpackedBf16& from, const bfloat16* tap, int64_t given, int64_t width, Pair* to) {
  const int64_t pairs = from.elements / 2;
  loops().turn(reinterpret_cast<const float*>(tap), from.column / 2, given, pairs, reinterpret_cast<float*>(to), width);
  if (from.elements % 2)
    for (int64_t c = 0; c < given; ++c)
      to[pairs * width + c] = pair_of(tap[c * from.column + from.elements - 1], bfloat16{});
}

// [elements][given] of whatever strides; a few lines at a time, so that what is written fits a near cache.
void pack_scattered(const UnpackedBf16& from, const bfloat16* tap, int64_t given, int64_t width, Pair* to) {
  constexpr int64_t kElements = 32;
  int64_t place[kElements];
  for (int64_t d = 0; d < from.elements; d += kElements) {
    const int64_t few = std::min(kElements, from.elements - d);
    for (int64_t i = 0; i < few; ++i)
      place[i] = (d + i) / from.inner * from.taps[2] + (d + i) % from.inner * from.depth;
    for (int64_t c = 0; c < given; ++c) {
      const bfloat16* const w = tap + c * from.column;
      Pair* const y = to + d / 2 * width + c;
      for (int64_t i = 0; i < few; i += 2)
        y[i / 2 * width] = pair_of(w[place[i]], i + 1 < few ? w[place[i + 1]] : bfloat16{});
    }
  }
}

void pack_panel(const Packing& p, const UnpackedBf16& from, int64_t group, int64_t panel, Pair* to) {
  const int64_t width = panel + 1 == p.panels() ? p.last_width() : p.panel;
  const int64_t given = std::min<int64_t>(width, p.columns - panel * p.panel), lines = (from.elements + 1) / 2;
  const bfloat16* column = from.w + (group * p.columns + panel * p.panel) * from.column;
  const bool adjacent = from.depth == 1 && from.inner >= from.elements && from.column % 2 == 0;
  for (int64_t z = 0; z < from.sizes[0]; ++z)
    for (int64_t y = 0; y < from.sizes[1]; ++y)
      for (int64_t x = 0; x < from.sizes[2]; ++x, to += lines * width) {
        const bfloat16* const tap = column + z * from.taps[0] + y * from.taps[1] + x * from.taps[2];
        const bool as_floats = adjacent && reinterpret_cast<uintptr_t>(tap) % sizeof(float) == 0;
        (as_floats ? pack_adjacent : pack_scattered)(from, tap, given, width, to);
        for (int64_t d = 0; d < lines && given < width; ++d)
          std::fill(to + d * width + given, to + (d + 1) * width, Pair{0});
      }
  std::fill_n(to, (p.lines() - p.taps * p.depth) * width, Pair{0});
}

}  // namespace

Packing pair_packing(int64_t groups, int64_t columns, int64_t taps, int64_t depth) {
  Packing p{loops(), groups, columns, taps, (depth + 1) / 2};
  p.fill = processor().bf16_tiles->fill;
  return p;
}

void pack_pairs(const Packing& p, const UnpackedBf16& from, Pair* to) {
  parallel_for(p.groups * p.panels(), std::max<int64_t>(1, 4096 / (p.panel_floats() + 1)),
               [&](int64_t first, int64_t last) {
                 for (int64_t i = first; i < last; ++i) {
                   const int64_t group = i / p.panels(), panel = i % p.panels();
                   pack_panel(p, from, group, panel, to + group * p.group_floats() + panel * p.panel_floats());
                 }
               });
}

void multiply(const Bf16Product& p, RowPointers<bfloat16> rows, const void* context) {
  multiply_by<OfPairs>(p, rows, context);
}

bool accepts_bf16(const Site& s, const Epilogue& e) {
  return processor().bf16 && all_bf16(s) && loops().has_unary(e.act);
}

}  // namespace fovea::kernels::cpu
