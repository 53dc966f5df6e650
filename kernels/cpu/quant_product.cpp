// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/quant_product.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/grid.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPanelsBytes = 192 << 10;        // of B that one thread keeps in its L2 cache while rows pass by
constexpr int64_t kMapWidth = kQuantPanels * kQuantPanel;

// act(v) for runs that lie side by side, then u8 or f32.
void map_run(const Loops& loops, const QuantLoops& bytes, const Epilogue& act, const QuantFinish& f, float* v, void* y,
             int64_t n) {
  float* const to = f.y_u8 ? v : static_cast<float*>(y);
  if (act.act != Unary::identity || to != v) loops.unary(act.act, act.a, act.b, v, to, n);
  if (f.y_u8) bytes.quantize(v, f.inverse, f.zero, static_cast<uint8_t*>(y), n);
}

class Worker {
 public:
  Worker(const QuantProduct& p, QuantRows rows, const void* context)
      : p_(p), rows_(rows), context_(context), tiles_((p.rows + p.set->rows - 1) / p.set->rows),
        most_rows_((p.rows + tiles_ - 1) / tiles_), copy_step_(odd_lines(4 * p.packing.lines())) {}
  int64_t tiles() const { return tiles_; }

  // Row tiles by panels, counted through all groups.
  void run(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) const {
    const QuantPacking& k = p_.packing;
    const int64_t together = std::max<int64_t>(1, kPanelsBytes / k.panel_bytes());
    const int64_t floats = most_rows_ * kMapWidth;
    float* const buffer = thread_buffer(static_cast<size_t>(floats + k.taps * most_rows_ * 2));
    const auto pointers = reinterpret_cast<const uint8_t**>(buffer + floats);
    if (p_.set->begin) p_.set->begin(static_cast<int>(most_rows_));
    for (int64_t from = first; from < last; from += together)
      for (int64_t tile = first_tile; tile < last_tile; ++tile)
        run_tile(tile, from, std::min(from + together, last), pointers, buffer);
    if (p_.set->end) p_.set->end();
  }

 private:
  void run_tile(int64_t tile, int64_t first, int64_t last, const uint8_t** pointers, float* mapped) const {
    const QuantPacking& k = p_.packing;
    const int64_t row = p_.rows * tile / tiles_, count = p_.rows * (tile + 1) / tiles_ - row;
    const int64_t most = p_.set->panels_at_once(static_cast<int>(most_rows_));
    rows_(context_, row, count, pointers, count);
    QuantTile t{};
    t.a = pointers;
    t.a_step = count;
    t.taps = k.taps;
    t.quads = k.quads();
    t.b_step = k.panel_bytes();
    t.rows = static_cast<int>(count);
    t.most_rows = static_cast<int>(most_rows_);
    t.copy_step = copy_step_;
    for (int64_t at = first; at < last;) {
      const int64_t group = at / k.panels(), panel = at % k.panels();
      int64_t take = std::min({most, last - at, k.panels() - panel});
      take = take >= 4 ? 4 : take >= 2 ? 2 : 1;
      if (p_.set->copy && (!t.copy || t.a_offset != group * k.depth)) {
        t.a_offset = group * k.depth;
        std::byte* const to = thread_copies(static_cast<size_t>(most_rows_ * copy_step_));
        p_.set->copy(t, to);
        t.copy = to;
      }
      t.a_offset = group * k.depth;
      t.b = p_.b + at * k.panel_bytes();
      t.columns = std::min(take * kQuantPanel, k.columns - panel * kQuantPanel);
      run_panels(t, static_cast<int>(take), row, at * kQuantPanel, group * k.columns + panel * kQuantPanel, mapped);
      at += take;
    }
  }

  void run_panels(QuantTile& t, int panels, int64_t row, int64_t packed, int64_t column, float* mapped) const {
    const QuantFinish& f = p_.finish;
    t.finish = f;
    t.finish.scale += packed;
    t.finish.bias += packed;
    if (f.residual) t.finish.residual = element(f.residual, f.residual_u8, row * f.residual_step + column);
    void* const y = const_cast<std::byte*>(element(f.y, f.y_u8, row * f.y_step + column));
    if (p_.map.act == Unary::identity) {
      t.finish.y = y;
      p_.set->tile(t, panels);
      return;
    }
    t.finish.y = mapped;
    t.finish.y_step = kMapWidth;
    t.finish.y_u8 = false;
    p_.set->tile(t, panels);
    for (int r = 0; r < t.rows; ++r)
      map_run(*p_.loops, *p_.bytes, p_.map, f, mapped + r * kMapWidth,
              const_cast<std::byte*>(element(y, f.y_u8, r * f.y_step)), t.columns);
  }

  static const std::byte* element(const void* p, bool u8, int64_t at) {
    return static_cast<const std::byte*>(p) + (u8 ? at : at * 4);
  }

  const QuantProduct& p_;
  QuantRows rows_;
  const void* context_;
  int64_t tiles_, most_rows_, copy_step_;
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
