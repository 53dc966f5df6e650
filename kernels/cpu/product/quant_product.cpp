// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/quant_product.h"

#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/product/worker.h"

namespace fovea::kernels::cpu {
namespace {

struct OfBytes {
  using Product = QuantProduct;
  using Tile = QuantTile;
  static const QuantSet& tiles(const Product& p) { return *p.on->u8_tiles; }
  static int rows(const Product& p) { return tiles(p).rows; }
  static int64_t depth(const Product& p) { return p.packing.depth; }
  static GridWork work(const Product& p, int64_t tiles) {
    const QuantPacking& k = p.packing;
    const int64_t panels = k.panels() * k.groups, bytes = panels * k.panel_bytes();
    return {tiles, panels, static_cast<double>(p.rows) * static_cast<double>(bytes) / p.on->u8_tiles->speed,
            bytes > p.rows * k.depth, &p.on->costs};
  }

  static Tile frame(const Product& p) {
    Tile t{};
    t.quads = p.packing.quads();
    t.finish = p.finish;
    return t;
  }
  static void run(const Product& p, Tile& t, int64_t row, const Job& j) {
    const QuantFinish& f = p.finish;
    t.finish.scale = f.scale + j.panel * kQuantPanel;
    t.finish.bias = f.bias + j.panel * kQuantPanel;
    if (f.residual) t.finish.residual = element(f.residual, f.residual_u8, row * f.residual_step + j.column);
    std::byte* const y = element(f.y, f.y_u8, row * f.y_step + j.column);
    if (p.map.act != Unary::identity) return run_mapped(p, t, j, y);
    t.finish.y = y;
    p.on->u8_tiles->tile(t, j.panels);
  }
  static void end(const Product&, const Tile&, int64_t, std::span<const Job>) {}

 private:
  static void run_mapped(const Product& p, Tile& t, const Job& j, std::byte* y) {
    alignas(64) float sums[32 * kQuantPanel];      // the most results of one call
    const int64_t step = j.panels * kQuantPanel;
    QuantFinish behind = p.finish;
    behind.y = y;
    t.finish.y = sums;
    t.finish.y_step = step;
    t.finish.y_u8 = false;
    p.on->u8_tiles->tile(t, j.panels);
    map_rows(*p.on, p.map, behind, {sums, step, t.rows, t.columns});
  }
};

}  // namespace

void map_rows(const Processor& on, const Epilogue& e, const QuantFinish& f, const QuantValues& v) {
  if (f.y_u8)
    return map_to_bytes(on, {e, v.first, static_cast<uint8_t*>(f.y), v.step, f.y_step, v.rows, v.columns, f.inverse,
                             f.zero});
  for (int64_t r = 0; r < v.rows; ++r)
    on.f32->unary(e.act, e.a, e.b, v.first + r * v.step, static_cast<float*>(f.y) + r * f.y_step, v.columns);
}

void multiply(const QuantProduct& p, RowPointers<uint8_t> rows, const void* context) {
  multiply_by<OfBytes>(p, rows, context);
}

}  // namespace fovea::kernels::cpu
