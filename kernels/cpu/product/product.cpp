// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/product.h"

#include <algorithm>
#include <array>
#include <span>

#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPanelsBytes = 192 << 10;        // of B that one thread keeps in its L2 cache while rows pass by
constexpr int64_t kMostPanels = 96;                // of one pass over the rows

// What one call of the tile covers: one or several panels of B.
struct Job {
  const float *b, *bias;
  int64_t column, columns, a_offset;
  int panels;
};

class Worker {
 public:
  Worker(const Product& p, RowPointers rows, const void* context) : p_(p), rows_(rows), context_(context) {
    tiles_ = (p.rows + p.set->tile_rows - 1) / p.set->tile_rows;
  }
  int64_t tiles() const { return tiles_; }

  // Row tiles [first_tile, last_tile) by panels [first, last), counted through all groups.
  void run(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) const {
    const int64_t together = std::clamp<int64_t>(kPanelsBytes / (p_.packing.panel_floats() * 4), 1, kMostPanels);
    const int rows = static_cast<int>((p_.rows + tiles_ - 1) / tiles_);
    const ThreadArray<const float*> lent(static_cast<size_t>(p_.packing.taps * rows));
    const float** const pointers = lent.data();
    std::array<Job, kMostPanels> jobs;
    for (int64_t from = first; from < last; from += together) {
      const size_t count = jobs_for(from, std::min(from + together, last), rows, jobs);
      for (int64_t tile = first_tile; tile < last_tile; ++tile)
        run_tile(tile, std::span<const Job>(jobs).first(count), pointers);
    }
  }

 private:
  size_t jobs_for(int64_t first, int64_t last, int rows, std::array<Job, kMostPanels>& jobs) const {
    const Packing& k = p_.packing;
    const int64_t panels = k.panels(), full = k.last_width() == k.panel ? panels : panels - 1;
    size_t count = 0;
    for (int64_t at = first; at < last;) {
      const int64_t group = at / panels, panel = at % panels;
      int64_t take = std::min({static_cast<int64_t>(p_.set->panels_at_once(rows)), last - at, full - panel});
      take = take >= 4 ? 4 : take >= 2 ? 2 : 1;
      const int64_t column = group * k.columns + panel * k.panel;
      const int64_t columns = panel + take == panels ? k.columns - panel * k.panel : take * k.panel;
      jobs[count++] = {p_.b + group * k.group_floats() + panel * k.panel_floats(), p_.bias ? p_.bias + column : nullptr,
                       column, columns, group * k.depth, static_cast<int>(take)};
      at += take;
    }
    return count;
  }

  void run_tile(int64_t tile, std::span<const Job> jobs, const float** pointers) const {
    const Packing& k = p_.packing;
    const int64_t row = p_.rows * tile / tiles_, count = p_.rows * (tile + 1) / tiles_ - row;
    rows_(context_, row, count, pointers, count);
    Tile t{.a = pointers,
           .a_step = count,
           .taps = k.taps,
           .depth = k.depth,
           .b_step = k.panel_floats(),
           .residual_step = p_.residual_step,
           .y_step = p_.y_step,
           .rows = static_cast<int>(count),
           .lo = p_.finish.lo,
           .hi = p_.finish.hi};
    float* const y = p_.y + row * p_.y_step;
    const float* const residual = p_.residual ? p_.residual + row * p_.residual_step : nullptr;
    for (const Job& j : jobs) {
      t.a_offset = j.a_offset;
      t.b = j.b;
      t.columns = j.columns;
      t.bias = j.bias;
      t.residual = residual ? residual + j.column : nullptr;
      t.y = y + j.column;
      p_.set->tile(t, j.panels);
    }
    if (p_.finish.map)
      map_columns(y + jobs.front().column, count, jobs.back().column + jobs.back().columns - jobs.front().column);
  }

  void map_columns(float* y, int64_t rows, int64_t columns) const {
    const Epilogue& e = p_.finish.act;
    if (columns == p_.y_step) return p_.set->unary(e.act, e.a, e.b, y, y, rows * columns);
    for (int64_t r = 0; r < rows; ++r, y += p_.y_step) p_.set->unary(e.act, e.a, e.b, y, y, columns);
  }

  const Product& p_;
  RowPointers rows_;
  const void* context_;
  int64_t tiles_;
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

GridWork grid_work(const Packing& p, int64_t rows, int64_t tiles) {
  return {tiles, p.panels() * p.groups, static_cast<double>(rows) * static_cast<double>(p.bytes() / 4),
          p.bytes() / 4 > static_cast<size_t>(rows * p.depth)};
}

void multiply(const Product& p, RowPointers rows, const void* context) {
  if (p.rows == 0 || p.packing.columns == 0) return;
  const Worker worker(p, rows, context);
  over_grid(grid_work(p.packing, p.rows, worker.tiles()),
            [&](int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) {
              worker.run(first_tile, last_tile, first, last);
            });
}

}  // namespace fovea::kernels::cpu
