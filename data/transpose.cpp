// SPDX-License-Identifier: Apache-2.0
#include "data/transpose.h"

#include <array>
#include <cstring>

namespace fovea::data {
namespace {

constexpr size_t kTile = 16;
using Bytes = uint8_t __attribute__((vector_size(kTile)));

/// 16 x 16 bytes: dealing two halves of the rows into each other, four times over, swaps rows and columns.
void transpose_tile(const uint8_t* from, size_t from_pitch, uint8_t* to, size_t to_pitch) {
  std::array<Bytes, kTile> rows, dealt;
  for (size_t r = 0; r < kTile; ++r) std::memcpy(&rows[r], from + r * from_pitch, kTile);
  for (int round = 0; round < 4; ++round) {
    for (size_t r = 0; r < kTile / 2; ++r) {
      const Bytes a = rows[r], b = rows[r + kTile / 2];
      dealt[2 * r] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      dealt[2 * r + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    rows = dealt;
  }
  for (size_t r = 0; r < kTile; ++r) std::memcpy(to + r * to_pitch, &rows[r], kTile);
}

}  // namespace

void transpose(const uint8_t* from, size_t from_pitch, size_t rows, size_t columns, uint8_t* to, size_t to_pitch) {
  const size_t tiled_rows = rows / kTile * kTile, tiled_columns = columns / kTile * kTile;
  for (size_t r = 0; r < tiled_rows; r += kTile)
    for (size_t i = 0; i < tiled_columns; i += kTile)
      transpose_tile(from + r * from_pitch + i, from_pitch, to + i * to_pitch + r, to_pitch);
  for (size_t r = 0; r < rows; ++r)
    for (size_t i = r < tiled_rows ? tiled_columns : 0; i < columns; ++i)
      to[i * to_pitch + r] = from[r * from_pitch + i];
}

}  // namespace fovea::data
