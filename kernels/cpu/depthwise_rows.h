// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/depthwise_rows.h — depthwise convolutions, row by row of the result: f32, or bf16 with sums in f32.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/conv_shape.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/parallel.h"

namespace fovea::kernels::cpu {

/// Pointers to every column of the image rows that a window needs, zeros where the window leaves the image.
/// Consecutive result rows share image rows, so the tables of the last few are kept.
template <class T>
class RowTables {
 public:
  RowTables(const ConvShape& s, const T* zeros)
      : s_(s), zeros_(zeros), columns_((s.out[2] - 1) * s.stride[2] + (s.kernel[2] - 1) * s.dilation[2] + 1),
        slots_((s.kernel[1] - 1) * s.dilation[1] + 1) {
    owner_ = thread_pointers<T>(static_cast<size_t>(slots_ * (1 + columns_)));
    table_ = owner_ + slots_;
    std::fill_n(owner_, slots_, nullptr);
  }

  /// The table of image row y, which starts at `row`.
  const T* const* of(int64_t y, const T* row) {
    const auto slot = static_cast<size_t>(y % slots_);
    const T** t = table_ + static_cast<int64_t>(slot) * columns_;
    if (owner_[slot] == row) return t;
    owner_[slot] = row;
    for (int64_t i = 0; i < columns_; ++i) {
      const int64_t x = i - s_.pad[2];
      t[i] = x >= 0 && x < s_.in[2] ? row + x * s_.channels : zeros_;
    }
    return t;
  }

 private:
  const ConvShape& s_;
  const T* zeros_;
  int64_t columns_, slots_;
  const T **owner_, **table_;
};

/// One run: channels-last images, weights [taps][w_step].
template <class T>
struct DepthwiseRows {
  const ConvShape& shape;
  const Loops& set;
  const Finish& finish;
  int64_t w_step;
  const T* zeros;                                  // chunk() of them
  const T* x;
  const float *w, *bias;                           // bias may be null
  const T* residual;                               // may be null
  T* y;

  static bool possible(const ConvShape& s) {
    return s.depthwise() && s.kernel[0] == 1 && s.in[0] == 1 && s.out[0] == 1 && s.kernel[1] <= kMostRows;
  }
  /// Channels at once: a few image rows of them stay in L1.
  static int64_t chunk(const ConvShape& s) { return std::min(kChunk, s.channels); }

  void run() const {
    const int64_t chunks = (shape.channels + kChunk - 1) / kChunk, items = shape.batch * chunks * shape.out[1];
    const int64_t work = chunk(shape) * shape.out[2] * shape.taps();
    parallel_for(items, std::max<int64_t>(1, 100000 / (work + 1)), [&](int64_t first, int64_t last) {
      RowTables<T> tables(shape, zeros);
      for (int64_t i = first; i < last; ++i)
        one_row(i / shape.out[1] / chunks, i / shape.out[1] % chunks * kChunk, i % shape.out[1], tables);
    });
  }

 private:
  static constexpr int64_t kChunk = 128;
  static constexpr int kMostRows = 64, kMostPixels = 8;

  void one_row(int64_t image, int64_t channel, int64_t oy, RowTables<T>& tables) const {
    const auto kernel = static_cast<int>(shape.kernel[1]);
    const T* const* rows[kMostRows];
    DepthwiseTileOf<T> t{.w = w + channel,
                         .w_step = w_step,
                         .bias = bias ? bias + channel : nullptr,
                         .y_step = shape.outputs,
                         .residual_step = shape.outputs,
                         .channels = std::min(kChunk, shape.channels - channel),
                         .kernel = static_cast<int>(shape.kernel[2]),
                         .stride = static_cast<int>(shape.stride[2]),
                         .dilation = static_cast<int>(shape.dilation[2]),
                         .first_row = kernel,
                         .last_row = 0,
                         .lo = finish.lo,
                         .hi = finish.hi};
    for (int k = 0; k < kernel; ++k) {
      const int64_t at = oy * shape.stride[1] - shape.pad[1] + k * shape.dilation[1];
      if (at < 0 || at >= shape.in[1]) continue;
      rows[k] = tables.of(at, x + ((image * shape.in[1] + at) * shape.in[2]) * shape.channels + channel);
      t.first_row = std::min(t.first_row, k);
      t.last_row = k + 1;
    }
    t.x = rows;
    const int64_t start = (image * shape.out[1] + oy) * shape.out[2] * shape.outputs + channel;
    for (int64_t ox = 0; ox < shape.out[2]; ox += t.pixels) {
      const int64_t at = start + ox * shape.outputs;
      t.pixels = set.depthwise_pixels(t.kernel, t.stride, t.dilation, shape.out[2] - ox);
      t.x_at = ox * shape.stride[2];
      t.y = y + at;
      t.residual = residual ? residual + at : nullptr;
      tile(t);
    }
  }

  void tile(const DepthwiseTileOf<T>& t) const {
    const Epilogue& e = finish.act;
    if constexpr (std::is_same_v<T, float>) {
      set.depthwise(t);
      if (!finish.map) return;
      if (t.channels == t.y_step) return set.unary(e.act, e.a, e.b, t.y, t.y, t.pixels * t.channels);
      for (int p = 0; p < t.pixels; ++p)
        set.unary(e.act, e.a, e.b, t.y + p * t.y_step, t.y + p * t.y_step, t.channels);
    } else {
      if (!finish.map) return set.depthwise_bf16(t);
      alignas(64) float sums[kMostPixels * kChunk];
      DepthwiseTileOf<T> wide = t;
      wide.wide = sums;
      wide.y_step = t.channels;
      set.depthwise_bf16(wide);
      set.unary(e.act, e.a, e.b, sums, sums, t.pixels * t.channels);
      for (int p = 0; p < t.pixels; ++p) set.to_bf16(sums + p * t.channels, t.y + p * t.y_step, t.channels);
    }
  }
};

}  // namespace fovea::kernels::cpu
