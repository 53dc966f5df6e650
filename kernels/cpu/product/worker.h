// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/worker.h — one thread's part of a product, whatever its elements: panels of B that stay in the
// second cache, and row tiles of A that pass by them.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "kernels/cpu/product/copied_rows.h"
#include "kernels/cpu/product/product.h"
#include "kernels/cpu/threads/grid.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// What one call of the tile covers: one or several panels of B.
struct Job {
  int64_t b, panel;                                // where it starts: in B, and the panel through all groups
  int64_t column, columns, a_offset;               // of all groups' columns; the group's first element of A
  int panels;
};

/// Of: what is particular to a type of elements.
///   Product, Tile      as in isa/
///   tiles(p)           the processor's TileSet
///   rows(p)            most of a tile
///   depth(p)           elements of A of one group and tap
///   frame(p)           a tile with what all tiles of the product share
///   run(p, t, row, j)  computes one job for t's rows, the first of which is `row`
///   end(p, t, row, jobs) what is done to these rows behind all jobs
///   work(p, tiles)     GridWork
template <class Of>
class Worker {
 public:
  using Product = typename Of::Product;
  using Tile = typename Of::Tile;
  using Element = typename Product::Element;

  Worker(const Product& p, RowPointers<Element> rows, const void* context)
      : p_(p), set_(Of::tiles(p)), rows_(rows), context_(context), tiles_((p.rows + Of::rows(p) - 1) / Of::rows(p)),
        most_rows_(static_cast<int>((p.rows + tiles_ - 1) / tiles_)),
        most_panels_(set_.panels_at_once(most_rows_)),
        copy_step_(odd_lines(4 * p.packing.lines() * set_.copied_bytes)) {}
  int64_t tiles() const { return tiles_; }

  // Row tiles [first_tile, last_tile) by panels [first, last), counted through all groups.
  void run(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) const {
    const ThreadArray<const Element*> lent(static_cast<size_t>(p_.packing.taps * most_rows_));
    const Element** const pointers = lent.data();
    if constexpr (kCopies)
      if (set_.copy) return run_copied(first_tile, last_tile, first, last, pointers);
    const int64_t near = p_.on->caches.second * 3 / 16;   // of B, while rows pass by
    const int64_t together = std::clamp<int64_t>(near / p_.packing.panel_bytes(), 1, kMostPanels);
    std::array<Job, kMostPanels> jobs;
    Tile t = frame();
    for (int64_t from = first; from < last; from += together) {
      const size_t count = jobs_for(from, std::min(from + together, last), jobs);
      for (int64_t tile = first_tile; tile < last_tile; ++tile) {
        read_rows(t, tile, pointers);
        run_jobs(t, tile, std::span<const Job>(jobs).first(count));
      }
    }
  }

 private:
  static constexpr int64_t kMostPanels = 96;       // of one pass over the rows
  static constexpr bool kCopies = requires(const Tile& t) { t.copy; };

  size_t jobs_for(int64_t first, int64_t last, std::array<Job, kMostPanels>& jobs) const {
    const auto& k = p_.packing;
    const int64_t panels = k.panels(), whole = k.whole_panels(), depth = Of::depth(p_);
    size_t count = 0;
    for (int64_t at = first; at < last;) {
      const int64_t group = at / panels, panel = at % panels;
      int64_t take = std::min({static_cast<int64_t>(most_panels_), last - at, whole - panel});
      take = take >= 4 ? 4 : take >= 2 ? 2 : 1;
      jobs[count++] = {.b = k.start(group, panel),
                       .panel = at,
                       .column = group * k.columns + panel * k.panel,
                       .columns = panel + take == panels ? k.columns - panel * k.panel : take * k.panel,
                       .a_offset = group * depth,
                       .panels = static_cast<int>(take)};
      at += take;
    }
    return count;
  }

  void run_copied(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last, const Element** pointers) const {
    const int64_t tile_bytes = most_rows_ * copy_step_;
    Tile t = frame();
    if (set_.begin) set_.begin(most_rows_);
    walk_copied({first_tile, last_tile, first, last, p_.packing.panels(), tile_bytes, p_.packing.panel_bytes()},
                [&](int64_t tile, int64_t group, std::byte* to) {
                  read_rows(t, tile, pointers);
                  t.a_offset = group * Of::depth(p_);
                  set_.copy(t, to);
                },
                [&](int64_t first_panel, int64_t last_panel, int64_t from, int64_t to, const std::byte* copies) {
                  std::array<Job, kMostPanels> jobs;
                  for (int64_t at = first_panel; at < last_panel; at += kMostPanels) {
                    const size_t count = jobs_for(at, std::min(at + kMostPanels, last_panel), jobs);
                    for (int64_t tile = from; tile < to; ++tile) {
                      size(t, tile);
                      t.copy = copies + (tile - from) * tile_bytes;
                      run_jobs(t, tile, std::span<const Job>(jobs).first(count));
                    }
                  }
                });
    if (set_.end) set_.end();
  }

  int64_t row_of(int64_t tile) const { return p_.rows * tile / tiles_; }

  // What all tiles share: made once, because copies of what has just been written in pieces wait for it.
  Tile frame() const {
    Tile t = Of::frame(p_);
    t.taps = p_.packing.taps;
    t.b_step = p_.packing.panel_step();
    if constexpr (kCopies) {
      t.most_rows = most_rows_;
      t.copy_step = copy_step_;
    }
    return t;
  }

  void size(Tile& t, int64_t tile) const {
    t.rows = static_cast<int>(row_of(tile + 1) - row_of(tile));
    t.a_step = t.rows;
  }
  void read_rows(Tile& t, int64_t tile, const Element** pointers) const {
    size(t, tile);
    rows_(context_, row_of(tile), t.rows, pointers, t.rows);
    t.a = pointers;
  }

  void run_jobs(Tile& t, int64_t tile, std::span<const Job> jobs) const {
    const int64_t row = row_of(tile);
    for (const Job& j : jobs) {
      t.a_offset = j.a_offset;
      t.b = p_.b + j.b;
      t.columns = j.columns;
      Of::run(p_, t, row, j);
    }
    Of::end(p_, t, row, jobs);
  }

  const Product& p_;
  const TileSet<Tile>& set_;
  RowPointers<Element> rows_;
  const void* context_;
  int64_t tiles_;
  int most_rows_, most_panels_;
  int64_t copy_step_;
};

/// The whole product, on as many threads as pay.
template <class Of>
void multiply_by(const typename Of::Product& p, RowPointers<typename Of::Product::Element> rows, const void* context) {
  if (p.rows == 0 || p.packing.columns == 0) return;
  const Worker<Of> worker(p, rows, context);
  over_grid(Of::work(p, worker.tiles()), [&](int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) {
    worker.run(first_tile, last_tile, first, last);
  });
}

}  // namespace fovea::kernels::cpu
