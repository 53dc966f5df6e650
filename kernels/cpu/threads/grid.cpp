// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/threads/grid.h"

#include <algorithm>

#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPiecesEach = 4;                 // so that a thread which is held up holds up little

struct Grid {
  int64_t rows, panels;
};

Grid grid_for(const GridWork& w, int64_t pieces) {
  Grid best{1, 1};
  double least = 1e300;
  for (int64_t across = 1; across <= pieces; ++across) {
    const int64_t down = pieces / across;
    const double work =
        static_cast<double>((w.tiles + down - 1) / down) * static_cast<double>((w.panels + across - 1) / across);
    // Every row of the grid reads all its panels: a slight preference for cutting what is larger.
    const double cost = work * (1 + 0.01 * static_cast<double>(w.weights_are_larger ? down : across));
    if (cost < least) {
      least = cost;
      best = {down, across};
    }
  }
  return best;
}

}  // namespace

void over_grid(const GridWork& w,
               void (*body)(const void* context, int64_t first_tile, int64_t last_tile, int64_t first, int64_t last),
               const void* context) {
  const int64_t per_thread = w.costs->work_per_thread, per_piece = w.costs->work_per_piece;
  const int64_t useful = static_cast<int64_t>(std::min(w.multiplications / static_cast<double>(per_thread), 1e6)) + 1;
  const int64_t team = std::min<int64_t>(threads_here(), useful);
  const int64_t pieces = std::clamp<int64_t>(useful * per_thread / per_piece, team, team * kPiecesEach);
  const Grid grid = grid_for(w, team > 1 ? pieces : 1);
  parallel_for(grid.rows * grid.panels, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t down = i / grid.panels, across = i % grid.panels;
      body(context, w.tiles * down / grid.rows, w.tiles * (down + 1) / grid.rows, w.panels * across / grid.panels,
           w.panels * (across + 1) / grid.panels);
    }
  });
}

}  // namespace fovea::kernels::cpu
