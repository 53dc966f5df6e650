// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/loops.h — the inner loops in f32 and what they are given; compiled once per instruction set.
#pragma once
#include <cstdint>
#include <limits>

#include "engine/core/epilogue.h"
#include "engine/core/types.h"
#include "engine/ops/attrs.h"
#include "kernels/cpu/isa/tile_set.h"

namespace fovea::kernels::cpu {

/// One register tile of y = clip(A B + bias [+ residual]). B is packed in panels of `panel` columns, zero-filled. A
/// call takes several panels or one; one alone may have one or three vectors of columns instead of two.
struct Tile {
  const float* const* a;                           // [taps][a_step]: where each row's depth elements start
  int64_t a_step, a_offset;                        // a_offset is added to every pointer: the group
  int64_t taps, depth;
  const float* b;
  int64_t b_step;                                  // from one panel to the next
  const float* bias;                               // of the first column; may be null
  const float* residual;                           // of the first row and column; may be null
  int64_t residual_step;
  float* y;
  int64_t y_step;
  int rows;
  int64_t columns;
  float lo, hi;
};

/// Adjacent results of one row of a depthwise convolution, for a run of channels. T: float, bfloat16 or uint8_t as the
/// number that it is; sums are in f32. Out: T, float, or uint8_t: round(sum * inverse + zero).
template <class T, class Out = T>
struct DepthwiseTileOf {
  // [kernel rows]: a table of every column's first channel, of which ...
  const T* const* const* x;
  int64_t x_at;                                    // ... the first one that is needed here
  const float* w;                                  // [kernel rows][kernel][w_step], zero-filled to whole vectors
  int64_t w_step;
  const float* bias;
  const T* residual;                               // may be null; none where Out is another type
  Out* y;
  // where Out is narrow: written instead of y, with y_step, unless null
  float* wide;
  int64_t y_step, residual_step, channels;
  int kernel, stride, dilation, pixels;
  int first_row, last_row;                         // kernel rows that meet the image
  float lo, hi;
  float inverse, zero;                             // of uint8_t
  const float* scale;                              // of each channel's weights, where DepthwisePairs read uint8_t
  bool hard_swish;                                 // instead of lo and hi, where DepthwisePairs run
};

/// Channels whose weights lie together where DepthwisePairs has packed them.
constexpr int64_t kPairedChannels = 32;

using DepthwiseTile = DepthwiseTileOf<float>;
using Bf16DepthwiseTile = DepthwiseTileOf<bfloat16>;

/// Six by six pixels, a pointer each, become the values at 36 points, v_step apart.
struct WinogradInput {
  const float* x[36];
  float* v;
  int64_t v_step, channels;
};
/// The sums at 36 points, m_step apart, become height by width results, four by four at most.
struct WinogradOutput {
  const float* m;
  int64_t m_step;
  const float* bias;                               // may be null
  const float* residual;                           // steps as y does; may be null
  float* y;
  int64_t row_step, pixel_step, columns;
  int height, width;
  float lo, hi;
};

/// Filters of 3 x 3 taps at Winograd's 36 points, computed in f64: tap t of column k is at w[t * w_step + k], its value
/// at point i goes to y[i * y_step + k].
struct WinogradFilters {
  const float* w;
  float* y;
  int64_t w_step, y_step, columns;                 // columns: a multiple of the lanes
};

/// The pixels that one result of a pool sees: `columns` of each of `rows`, steps in elements.
template <class T>
struct PoolWindow {
  const T* x;                                      // channels of the first pixel
  int64_t rows, row_step, columns, column_step;
};

/// Rows of pixels, a gain and a shift for each of their channels: y = clip(x gain + shift).
template <class T>
struct ChannelRows {
  const T* x;
  const float *gain, *shift;                       // shift may be null
  T* y;
  int64_t x_step, y_step, rows, channels;
  float lo = -std::numeric_limits<float>::infinity(), hi = std::numeric_limits<float>::infinity();
};

/// One register tile of attention: y = gain (A B) + mask for a few rows and up to three vectors of columns.
struct AttentionTile {
  const float* a;
  const float* b;                                  // [depth][b_step], readable in whole vectors
  int64_t a_step, b_step, depth;
  const float* gains;                              // of each row, gains_step apart
  int64_t gains_step;
  const float* mask;                               // may be null
  int64_t mask_step;
  float* y;
  int64_t y_step, columns;
  int rows;
  bool scores;                                     // a part of a vector is filled up with minus infinity
};

struct Loops {
  const char* name;                                // "avx512" (with and without AVX512_BF16), "avx2", "sse2"
  int lanes, panel;

  bool (*has_unary)(Unary fn);
  void (*unary)(Unary fn, float a, float b, const float* x, float* y, int64_t n);
  void (*unary_bf16)(Unary fn, float a, float b, const bfloat16* x, bfloat16* y, int64_t n);   // in f32, rounded once
  bool (*has_unary_dx)(Unary fn);
  void (*unary_dx)(Unary fn, float a, const float* gy, const float* x, float* gx, int64_t n);
  bool (*has_binary)(Binary fn);
  // steps: 0 or 1
  void (*binary)(Binary fn, const float* a, int a_step, const float* b, int b_step, float* y, int64_t n);
  void (*binary_bf16)(Binary fn, const bfloat16* a, int a_step, const bfloat16* b, int b_step, bfloat16* y, int64_t n);
  void (*where)(const uint8_t* c, int c_step, const float* a, int a_step, const float* b, int b_step, float* y,
                int64_t n);

  TileSet<Tile> tiles;
  /// One panel and no residual, at least half of the rows of tiles; a: [taps] of the first row, others follow a_step
  /// apart.
  void (*stepped_tile)(const Tile& t);
  // how many of the `left` results of a row to give one call
  int (*depthwise_pixels)(int kernel, int stride, int dilation, int64_t left);
  void (*depthwise)(const DepthwiseTile& t);
  void (*depthwise_bf16)(const Bf16DepthwiseTile& t);
  void (*depthwise_u8)(const DepthwiseTileOf<uint8_t>& t);
  void (*depthwise_from_u8)(const DepthwiseTileOf<uint8_t, float>& t);
  void (*depthwise_to_u8)(const DepthwiseTileOf<float, uint8_t>& t);
  void (*winograd_input)(const WinogradInput& t);
  void (*winograd_output)(const WinogradOutput& t);
  void (*winograd_filters)(const WinogradFilters& t);

  /// to[c * to_step + r] = from[r * from_step + c]
  void (*turn)(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to, int64_t to_step);

  void (*from_bf16)(const void* x, void* y, int64_t n);
  void (*to_bf16)(const void* x, void* y, int64_t n);
  void (*from_f16)(const void* x, void* y, int64_t n);
  void (*to_f16)(const void* x, void* y, int64_t n);

  bool (*has_reduce)(Reduce fn);
  float (*reduce)(Reduce fn, const float* x, int64_t n);                // mean: the sum
  float (*reduce_bf16)(Reduce fn, const bfloat16* x, int64_t n);
  void (*fold)(Reduce fn, const float* x, float* acc, int64_t n);       // element by element into acc; mean: adds
  // the same of many rows
  void (*fold_many)(Reduce fn, const float* x, int64_t x_step, int64_t rows, float* acc, int64_t n);
  void (*fold_many_bf16)(Reduce fn, const bfloat16* x, int64_t x_step, int64_t rows, float* acc, int64_t n);
  double (*sum)(const float* x, int64_t n);
  double (*squares)(const float* x, float about, int64_t n);            // sum of (x - about)^2
  void (*fold_squares)(const float* x, const float* about, float* acc, int64_t n);   // acc += (x - about)^2
  void (*channel_rows)(const ChannelRows<float>& t);
  void (*channel_rows_bf16)(const ChannelRows<bfloat16>& t);
  // w, b may be null
  void (*normalize)(const float* x, float mean, float gain, const float* w, const float* b, float* y, int64_t n);
  void (*layer_norm_bf16)(const bfloat16* x, const float* w, const float* b, double eps, bfloat16* y, int64_t n);
  /// y = weights[0] x[0] + ... + weights[3] x[3], element by element
  void (*blend)(const float* const* x, const float* weights, float* y, int64_t n);
  /// y = weights[0] x[0] + ... + weights[count - 1] x[count - 1], element by element, in this order
  void (*weighted_sum)(const float* const* x, const float* weights, int64_t count, float* y, int64_t n);
  void (*weighted_sum_of_bf16)(const bfloat16* const* x, const float* weights, int64_t count, float* y, int64_t n);
  void (*weighted_sum_to_bf16)(const float* const* x, const float* weights, int64_t count, bfloat16* y, int64_t n);
  /// sums[i] += a[i] b[i] of `rows` pairs of rows, in their order
  void (*products_of_rows)(const float* a, int64_t a_step, const float* b, int64_t b_step, int64_t rows, float* sums,
                           int64_t n);
  /// Four numbers of uniform4() (engine/core/philox.h) for each of `groups` counters from the first one on.
  void (*uniform)(uint64_t key, uint64_t counter, uint64_t step, float* y, int64_t groups);
  void (*softmax)(const float* x, float* y, int64_t n, bool log);
  void (*largest)(const float* x, int64_t at, float* y, int64_t* index, int64_t n);   // where x wins: y = x, index = at
  // the largest of a window, a channel each
  void (*largest_in)(const PoolWindow<float>& w, float* y, int64_t n);
  void (*largest_in_bf16)(const PoolWindow<bfloat16>& w, bfloat16* y, int64_t n);
  // share times the sum of a window
  void (*mean_in)(const PoolWindow<float>& w, float share, float* y, int64_t n);
  void (*mean_in_bf16)(const PoolWindow<bfloat16>& w, float share, bfloat16* y, int64_t n);

  int queries;                                     // most rows of the following
  void (*attention_tile)(const AttentionTile& t);
  /// The same for one column: b is a key, elements adjacent; minus infinity fills the vector.
  void (*attention_column)(const AttentionTile& t);
  /// x = 2^(factor (x - largest)) in rows of n, whole vectors of them; shares: 1 / sum. Zeros where everything is
  /// masked.
  void (*attention_weights)(float* x, int64_t step, int rows, int64_t n, float factor, float* shares);
};

/// Dot products of weights in f16 that lie side by side: y[o] = sum of w[o * depth + i] x[i].
struct HalfDots {
  static constexpr int64_t kMany = 8;              // outputs of one call of many()
  void (*many)(const float* x, const uint16_t* w, int64_t depth, float* y);
  void (*one)(const float* x, const uint16_t* w, int64_t depth, float* y);
};

}  // namespace fovea::kernels::cpu
