// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/winograd_tiles.h — how Winograd's F(4x4, 3x3) cuts images, whatever their elements: tiles of
// results, the pixels that they need, blocks of tiles that threads share; and when it promises a gain.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

struct WinogradTiles {
  static constexpr int64_t kSide = 4;              // results of a tile, in both directions
  static constexpr int64_t kWindow = 6;            // pixels that they need
  static constexpr int64_t kPoints = kWindow * kWindow;      // products of matrices that take the place of nine taps
  static constexpr int64_t kMost = 36;             // of a block, whose pixels and sums share the second cache

  struct Block {
    int64_t first, last;
    int64_t count() const { return last - first; }
  };
  struct Origin {
    int64_t image, y, x;                           // of a tile's first result
  };

  explicit WinogradTiles(const ConvShape& s)
      : down((s.out[1] + kSide - 1) / kSide), across((s.out[2] + kSide - 1) / kSide), count(s.batch * down * across) {}

  Origin origin(int64_t tile) const {
    return {tile / (down * across), tile / across % down * kSide, tile % across * kSide};
  }
  /// Where the tile's pixels lie, row by row; `outside` stands for those beyond the image.
  template <class T>
  void pixels(const ConvShape& s, const T* x, const T* outside, int64_t tile, const T* (&to)[kPoints]) const {
    const Origin p = origin(tile);
    for (int64_t i = 0; i < kWindow; ++i)
      for (int64_t j = 0; j < kWindow; ++j) {
        const int64_t y = p.y + i - s.pad[1], column = p.x + j - s.pad[2];
        const bool inside = y >= 0 && y < s.in[1] && column >= 0 && column < s.in[2];
        to[i * kWindow + j] = inside ? x + ((p.image * s.in[1] + y) * s.in[2] + column) * s.channels : outside;
      }
  }
  /// body(block, first panel, last panel), for all tiles and panels. Blocks are independent, of as many tiles as have
  /// `tile_bytes` of transformed pixels each in the second cache, but at least `rows`. Where there are fewer than
  /// threads, threads share a block's panels and each of them transforms the block's pixels.
  template <class Body>
  void for_blocks(const Caches& caches, int64_t tile_bytes, int64_t rows, int64_t panels, const Body& body) const {
    const int64_t fit = caches.second * 7 / 16 / tile_bytes;
    const int64_t most = std::clamp<int64_t>(fit, rows, kMost), team = threads_here();
    int64_t blocks = (count + most - 1) / most;
    if (count >= team * rows) blocks = (blocks + team - 1) / team * team;
    const int64_t shares = std::clamp<int64_t>(blocks < team ? team / blocks : 1, 1, panels);
    parallel_for(blocks * shares, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t b = i / shares, share = i % shares;
        body(Block{.first = count * b / blocks, .last = count * (b + 1) / blocks}, panels * share / shares,
             panels * (share + 1) / shares);
      }
    });
  }

  int64_t down, across, count;
};

/// One 3x3 window a pixel of one plane.
bool winograd_fits(const ConvShape& s);

/// What Winograd's convolution and the direct one do for a type of elements, on one thread.
struct WinogradRates {
  double direct, products;                         // multiplications a second
  double pixel_bytes, weight_bytes;                // transformed
};
/// Products at their usual rates, transforms and weights at the rate of the caches that hold them.
bool winograd_gains(const ConvShape& s, const WinogradRates& r, const Costs& c);

}  // namespace fovea::kernels::cpu
