// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/tile_set.h — the register tiles of a product for one kind of processor, and what they ask of what is
// around them. Tile: Tile, Bf16Tile, QuantTile.
#pragma once
#include <cstddef>

namespace fovea::kernels::cpu {

template <class Tile>
struct TileSet {
  const char* name;
  int rows;                                        // most of a tile
  int joined_rows = 0;                             // of f32, where all panels have three vectors of columns
  int fill = 1, together = 4;                      // those of the packing
  int copied_bytes = 1;                            // of an element in a copied row, where copies are wider
  double speed = 1;                                // multiplications in the time of one of AVX-512's
  int (*panels_at_once)(int rows);                 // that one call may take, of tiles of up to so many rows
  void (*tile)(const Tile& t, int panels);
  // Null, or: around the tiles of one thread, of up to that many rows; and copies a tile's rows, once for all panels.
  void (*begin)(int rows) = nullptr;
  void (*end)() = nullptr;
  void (*copy)(const Tile& t, std::byte* to) = nullptr;
};

}  // namespace fovea::kernels::cpu
