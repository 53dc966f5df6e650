// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/quant_product.h"

#include <algorithm>
#include <utility>

#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/product/copied_rows.h"
#include "kernels/cpu/threads/grid.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPanelsBytes = 192 << 10;        // of B that one thread keeps in its L2 cache while rows pass by

class Worker {
 public:
  Worker(const QuantProduct& p, QuantRows rows, const void* context)
      : p_(p), rows_(rows), context_(context), tiles_((p.rows + p.set->rows - 1) / p.set->rows),
        most_rows_((p.rows + tiles_ - 1) / tiles_), copy_step_(odd_lines(4 * p.packing.lines())),
        most_panels_(p.set->panels_at_once(static_cast<int>(most_rows_))), panels_(p.packing.panels()),
        panel_bytes_(p.packing.panel_bytes()) {}
  int64_t tiles() const { return tiles_; }

  // Row tiles by panels, counted through all groups.
  void run(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) const {
    const QuantPacking& k = p_.packing;
    const int64_t floats = most_rows_ * most_panels_ * kQuantPanel;
    const ThreadArray<float> lent(static_cast<size_t>(floats + k.taps * most_rows_ * 2));
    float* const buffer = lent.data();
    const auto pointers = reinterpret_cast<const uint8_t**>(buffer + floats);
    if (p_.set->copy)
      return run_copied({first_tile, last_tile, first, last, panels_, most_rows_ * copy_step_, panel_bytes_},
                        pointers, buffer);
    const int64_t together = std::max<int64_t>(1, kPanelsBytes / panel_bytes_);
    for (int64_t from = first; from < last; from += together)
      for (int64_t tile = first_tile; tile < last_tile; ++tile)
        run_tile(with_rows(tile, pointers), row_of(tile), from, std::min(from + together, last), buffer);
  }

 private:
  void run_copied(const CopiedWork& work, const uint8_t** pointers, float* mapped) const {
    p_.set->begin(static_cast<int>(most_rows_));
    walk_copied(work,
                [&](int64_t tile, int64_t group, std::byte* to) {
                  QuantTile t = with_rows(tile, pointers);
                  t.a_offset = group * p_.packing.depth;
                  p_.set->copy(t, to);
                },
                [&](int64_t first, int64_t last, int64_t first_tile, int64_t last_tile, const std::byte* copies) {
                  for (int64_t tile = first_tile; tile < last_tile; ++tile) {
                    QuantTile t = frame(tile);
                    t.copy = copies + (tile - first_tile) * work.tile_bytes;
                    run_tile(std::move(t), row_of(tile), first, last, mapped);
                  }
                });
    p_.set->end();
  }

  int64_t row_of(int64_t tile) const { return p_.rows * tile / tiles_; }

  // What all panels share.
  QuantTile frame(int64_t tile) const {
    const QuantPacking& k = p_.packing;
    QuantTile t{};
    t.rows = static_cast<int>(row_of(tile + 1) - row_of(tile));
    t.most_rows = static_cast<int>(most_rows_);
    t.a_step = t.rows;
    t.taps = k.taps;
    t.quads = k.quads();
    t.b_step = panel_bytes_;
    t.copy_step = copy_step_;
    t.finish = p_.finish;
    return t;
  }

  QuantTile with_rows(int64_t tile, const uint8_t** pointers) const {
    QuantTile t = frame(tile);
    rows_(context_, row_of(tile), t.rows, pointers, t.rows);
    t.a = pointers;
    return t;
  }

  void run_tile(QuantTile&& t, int64_t row, int64_t first, int64_t last, float* mapped) const {
    const QuantPacking& k = p_.packing;
    int64_t group = first / panels_, panel = first % panels_;
    for (int64_t at = first; at < last;) {
      int64_t take = std::min({most_panels_, last - at, panels_ - panel});
      take = take >= 4 ? 4 : take >= 2 ? 2 : 1;
      t.a_offset = group * k.depth;
      t.b = p_.b + at * panel_bytes_;
      t.columns = std::min(take * kQuantPanel, k.columns - panel * kQuantPanel);
      run_panels(t, static_cast<int>(take), row, at * kQuantPanel, group * k.columns + panel * kQuantPanel, mapped);
      at += take;
      panel += take;
      if (panel == panels_) panel = 0, ++group;
    }
  }

  void run_panels(QuantTile& t, int panels, int64_t row, int64_t packed, int64_t column, float* mapped) const {
    const QuantFinish& f = p_.finish;
    t.finish.scale = f.scale + packed;
    t.finish.bias = f.bias + packed;
    if (f.residual) t.finish.residual = element(f.residual, f.residual_u8, row * f.residual_step + column);
    void* const y = const_cast<std::byte*>(element(f.y, f.y_u8, row * f.y_step + column));
    if (p_.map.act == Unary::identity) {
      t.finish.y = y;
      p_.set->tile(t, panels);
      return;
    }
    const int64_t step = panels * kQuantPanel;
    t.finish.y = mapped;
    t.finish.y_step = step;
    t.finish.y_u8 = false;
    p_.set->tile(t, panels);
    const Epilogue& e = p_.map;
    if (f.y_u8)
      return map_to_bytes(*p_.loops, {e, mapped, static_cast<uint8_t*>(y), step, f.y_step, t.rows, t.columns, f.inverse,
                                      f.zero});
    for (int64_t r = 0; r < t.rows; ++r)
      p_.loops->unary(e.act, e.a, e.b, mapped + r * step, static_cast<float*>(y) + r * f.y_step, t.columns);
  }

  static const std::byte* element(const void* p, bool u8, int64_t at) {
    return static_cast<const std::byte*>(p) + (u8 ? at : at * 4);
  }

  const QuantProduct& p_;
  QuantRows rows_;
  const void* context_;
  int64_t tiles_, most_rows_, copy_step_, most_panels_, panels_, panel_bytes_;
};

}  // namespace

void multiply(const QuantProduct& p, QuantRows rows, const void* context) {
  if (p.rows == 0 || p.packing.columns == 0) return;
  const Worker worker(p, rows, context);
  const QuantPacking& k = p.packing;
  const int64_t panels = k.panels() * k.groups, bytes = panels * k.panel_bytes();
  const double multiplications = static_cast<double>(p.rows) * static_cast<double>(bytes) / p.set->speed;
  over_grid({worker.tiles(), panels, multiplications, bytes > p.rows * k.depth},
            [&](int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) {
              worker.run(first_tile, last_tile, first, last);
            });
}

}  // namespace fovea::kernels::cpu
