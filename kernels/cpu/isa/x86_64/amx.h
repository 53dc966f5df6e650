// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/amx.h — products by AMX: matrix registers ("tiles") of 16 rows by 64 bytes. What bf16 and
// 8-bit integers share: both take four bytes of the depth at a time.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa/tile_set.h"

namespace fovea::kernels::cpu {

constexpr int kAmxRows = 32;                       // of a block of sums: two tiles by two
constexpr int kAmxFill = 16;                       // B's depth is a multiple of a tile, in fours of bytes

/// Where the processor has tiles for bf16 and integers and AVX-512 for what surrounds them, and the system lets this
/// process use them.
bool amx_supported();

/// Before products of blocks of up to `rows` rows, on each thread; after them amx_end(), so that the system has fewer
/// registers to keep.
void amx_begin(int rows);
void amx_end();

/// Blocks of products as a set: of rows that fit one tile, two panels at once.
template <class Tile>
constexpr TileSet<Tile> amx_set(const char* name, void (*tile)(const Tile& t, int panels),
                                void (*copy)(const Tile& t, std::byte* to)) {
  return {.name = name,
          .rows = kAmxRows,
          .fill = kAmxFill,
          .speed = 8,
          .panels_at_once = [](int rows) { return rows <= 16 ? 2 : 1; },
          .tile = tile,
          .begin = amx_begin,
          .end = amx_end,
          .copy = copy};
}

}  // namespace fovea::kernels::cpu
