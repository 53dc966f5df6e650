// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/copied_rows.h — one thread's part of a product whose sets of register tiles want their rows
// copied.
#pragma once
#include <algorithm>

#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// Row tiles [first_tile, last_tile) by panels [first, last), counted through all groups.
struct CopiedWork {
  int64_t first_tile, last_tile, first, last;
  int64_t group_panels;
  int64_t tile_bytes, panel_bytes;                 // of a tile's copied rows, and of a packed panel
};

/// copy(tile, group, to) once for each tile, as many of them in turn as stay in the second cache with some panels; then
/// run(first panel, last panel, first tile, last tile, copies), all of one group.
template <class Copy, class Run>
void walk_copied(const CopiedWork& w, const Copy& copy, const Run& run) {
  constexpr int64_t kCopies = 512 << 10, kPanels = 256 << 10;
  const int64_t tiles = std::clamp<int64_t>(kCopies / w.tile_bytes, 1, w.last_tile - w.first_tile);
  const int64_t panels = std::max<int64_t>(1, kPanels / w.panel_bytes);
  const ThreadMemory lent(static_cast<size_t>(tiles * w.tile_bytes));
  std::byte* const copies = lent.data();
  for (int64_t at = w.first, end; at < w.last; at = end) {
    const int64_t group = at / w.group_panels;
    end = std::min(w.last, (group + 1) * w.group_panels);
    for (int64_t tile = w.first_tile; tile < w.last_tile; tile += tiles) {
      const int64_t behind = std::min(tile + tiles, w.last_tile);
      for (int64_t i = tile; i < behind; ++i) copy(i, group, copies + (i - tile) * w.tile_bytes);
      for (int64_t from = at; from < end; from += panels) run(from, std::min(from + panels, end), tile, behind, copies);
    }
  }
}

}  // namespace fovea::kernels::cpu
