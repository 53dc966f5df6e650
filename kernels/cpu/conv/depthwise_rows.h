// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise_rows.h — depthwise convolutions, row by row of the result: f32, bf16 or u8, with sums in
// f32.
#pragma once
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/conv/depthwise_pairs.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// Weights lie as [taps][depthwise_step()], filled up with zeros to whole vectors.
inline int64_t depthwise_step(const ConvShape& s, const Loops& l) {
  return (s.channels + l.lanes - 1) / l.lanes * l.lanes;
}
/// From elements that lie `channel`, `down` and `across` apart; `number` makes floats of them.
template <class W, class F>
void pack_depthwise(const ConvShape& s, const W* w, int64_t channel, int64_t down, int64_t across, float* to,
                    int64_t step, const F& number) {
  std::fill_n(to, s.taps() * step, 0.f);
  for (int64_t y = 0; y < s.kernel[1]; ++y)
    for (int64_t x = 0; x < s.kernel[2]; ++x, to += step)
      for (int64_t c = 0; c < s.channels; ++c) to[c] = number(w[c * channel + y * down + x * across]);
}

// The byte that stands for zero need not be 0. The bias takes away its share of every window, so rows outside the
// image must be summed as well.
template <class T>
constexpr bool kZeroIsNothing = !std::is_same_v<T, uint8_t>;

/// Pointers to every column of the image rows that a window needs, zeros where the window leaves the image.
/// Consecutive result rows share image rows, so the tables of the last few are kept.
template <class T>
class RowTables {
 public:
  RowTables(const ConvShape& s, const T* zeros)
      : s_(s), zeros_(zeros), columns_((s.out[2] - 1) * s.stride[2] + (s.kernel[2] - 1) * s.dilation[2] + 1),
        slots_((s.kernel[1] - 1) * s.dilation[1] + 1),
        lent_(static_cast<size_t>(slots_ * (1 + columns_) + columns_)), owner_(lent_.data()) {
    table_ = owner_ + slots_;
    blank_ = table_ + slots_ * columns_;
    std::fill_n(owner_, slots_, nullptr);
    if (!kZeroIsNothing<T>) std::fill_n(blank_, columns_, zeros_);
  }

  /// A row that lies outside the image, where such rows count.
  const T* const* blank() const { return blank_; }

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
  ThreadArray<const T*> lent_;
  const T **owner_, **table_, **blank_;
};

/// One run: channels-last images, weights [taps][w_step], or pairs: so many of each channel.
template <class T, class Out = T>
struct DepthwiseRows {
  const ConvShape& shape;
  const Processor& on;
  const Finish& finish;
  int64_t w_step;
  const T* zeros;                                  // chunk() of them
  const T* x;
  const float *w, *bias;                           // bias may be null
  const T* residual;                               // may be null; null where Out is another type
  Out* y;
  float inverse = 0, zero = 0;                     // of results in u8: round(sum * inverse + zero)
  bool pairs = false;                              // of bf16 and u8: weights are packed for DepthwisePairs
  const float* scale = nullptr;                    // of their weights, a channel each, where x is u8

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
    DepthwiseTileOf<T, Out> t{.w = w + channel * (pairs ? w_step : 1),
                              .w_step = w_step * (pairs ? kPairedChannels : 1),
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
                              .hi = finish.hi,
                              .inverse = inverse,
                              .zero = zero,
                              .scale = scale ? scale + channel : nullptr,
                              .hard_swish = finish.act.act == Unary::hard_swish};
    for (int k = 0; k < kernel; ++k) {
      const int64_t at = oy * shape.stride[1] - shape.pad[1] + k * shape.dilation[1];
      const bool inside = at >= 0 && at < shape.in[1];
      if (!inside && kZeroIsNothing<T>) continue;
      const T* const row = x + ((image * shape.in[1] + at) * shape.in[2]) * shape.channels + channel;
      rows[k] = inside ? tables.of(at, row) : tables.blank();
      t.first_row = std::min(t.first_row, k);
      t.last_row = k + 1;
    }
    t.x = rows;
    const int64_t start = (image * shape.out[1] + oy) * shape.out[2] * shape.outputs + channel;
    for (int64_t ox = 0; ox < shape.out[2]; ox += t.pixels) {
      const int64_t at = start + ox * shape.outputs;
      t.pixels = on.f32->depthwise_pixels(t.kernel, t.stride, t.dilation, shape.out[2] - ox);
      t.x_at = ox * shape.stride[2];
      t.y = y + at;
      t.residual = residual ? residual + at : nullptr;
      tile(t);
    }
  }

  void sums(const DepthwiseTileOf<T, Out>& t) const {
    const Loops& l = *on.f32;
    if constexpr (std::is_same_v<T, bfloat16>) pairs ? on.bf16->depthwise(t) : l.depthwise_bf16(t);
    else if constexpr (std::is_same_v<T, float> && std::is_same_v<Out, float>) l.depthwise(t);
    else if constexpr (std::is_same_v<T, float>) l.depthwise_to_u8(t);
    else if constexpr (std::is_same_v<Out, float>) pairs ? on.u8->depthwise_to_f32(t) : l.depthwise_from_u8(t);
    else pairs ? on.u8->depthwise(t) : l.depthwise_u8(t);
  }

  void tile(const DepthwiseTileOf<T, Out>& t) const {
    const Epilogue& e = finish.act;
    if (!finish.map || (pairs && t.hard_swish)) return sums(t);
    if constexpr (std::is_same_v<Out, float>) {
      sums(t);
      if (t.channels == t.y_step) return on.f32->unary(e.act, e.a, e.b, t.y, t.y, t.pixels * t.channels);
      for (int p = 0; p < t.pixels; ++p)
        on.f32->unary(e.act, e.a, e.b, t.y + p * t.y_step, t.y + p * t.y_step, t.channels);
    } else {
      alignas(64) float values[kMostPixels * kChunk];
      DepthwiseTileOf<T, Out> wide = t;
      wide.wide = values;
      wide.y_step = t.channels;
      sums(wide);
      if constexpr (std::is_same_v<Out, bfloat16>) {
        map_to_bf16(on, {e, values, t.y, t.channels, t.y_step, t.pixels, t.channels});
      } else {
        map_to_bytes(on, {e, values, t.y, t.channels, t.y_step, t.pixels, t.channels, inverse, zero});
      }
    }
  }
};

}  // namespace fovea::kernels::cpu
