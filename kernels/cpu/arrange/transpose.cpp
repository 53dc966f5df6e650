// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/arrange/transpose.h"

#include <algorithm>

#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// 16 x 16 elements of 8 bytes: half of them read, half written, all in L1
constexpr int64_t kTile = 16;

template <class T>
void turn_tile(const T* from, int64_t from_row, T* to, int64_t to_column) {
  T block[kTile][kTile];
  for (int64_t r = 0; r < kTile; ++r)
    for (int64_t c = 0; c < kTile; ++c) block[c][r] = from[r * from_row + c];
  for (int64_t c = 0; c < kTile; ++c)
    for (int64_t r = 0; r < kTile; ++r) to[c * to_column + r] = block[c][r];
}

template <class T>
void turn(const Transpose& t, const T* from, T* to) {
  const int64_t bands = (t.rows + kTile - 1) / kTile, stripes = (t.columns + kTile - 1) / kTile;
  parallel_for(t.batch * bands, std::max<int64_t>(1, 8192 / (kTile * t.columns + 1)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i % bands * kTile, rows = std::min(kTile, t.rows - row);
      const T* f = from + i / bands * t.from_batch + row * t.from_row;
      T* o = to + i / bands * t.to_batch + row;
      for (int64_t s = 0; s < stripes; ++s) {
        const int64_t column = s * kTile, columns = std::min(kTile, t.columns - column);
        if (rows == kTile && columns == kTile) {
          turn_tile(f + column, t.from_row, o + column * t.to_column, t.to_column);
          continue;
        }
        for (int64_t c = column; c < column + columns; ++c)
          for (int64_t r = 0; r < rows; ++r) o[c * t.to_column + r] = f[r * t.from_row + c];
      }
    }
  });
}

}  // namespace

void transpose(const Transpose& t, size_t element, const std::byte* from, std::byte* to) {
  switch (element) {
    case 1: return turn(t, reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to));
    case 2: return turn(t, reinterpret_cast<const uint16_t*>(from), reinterpret_cast<uint16_t*>(to));
    case 4: return turn(t, reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to));
    default: return turn(t, reinterpret_cast<const uint64_t*>(from), reinterpret_cast<uint64_t*>(to));
  }
}

void to_channels_last(int64_t batch, int64_t channels, int64_t places, const float* from, float* to) {
  turn({batch, channels, places, channels * places, places, channels * places, channels}, from, to);
}
void to_contiguous(int64_t batch, int64_t channels, int64_t places, const float* from, float* to) {
  to_channels_last(batch, places, channels, from, to);
}

}  // namespace fovea::kernels::cpu
