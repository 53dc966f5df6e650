// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/threads/grid.h — how threads share a product: pieces of rows by pieces of columns.
#pragma once
#include <cstdint>

namespace fovea::kernels::cpu {

struct Costs;

struct GridWork {
  int64_t tiles, panels;                           // of rows, and of columns through all groups
  double multiplications;
  bool weights_are_larger;                         // than the rows
  const Costs* costs;
};
/// body(first tile, last tile, first panel, last panel) over all tiles and panels, on as many threads as pay.
void over_grid(const GridWork& w,
               void (*body)(const void* context, int64_t first_tile, int64_t last_tile, int64_t first, int64_t last),
               const void* context);
template <class F>
void over_grid(const GridWork& w, const F& body) {
  over_grid(w, [](const void* c, int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) {
    (*static_cast<const F*>(c))(first_tile, last_tile, first, last);
  }, &body);
}

}  // namespace fovea::kernels::cpu
