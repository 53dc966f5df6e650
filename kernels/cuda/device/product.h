// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/product.h — matrix products and attention by plain tiles, where no vendor's library has them.
#pragma once
#include "kernels/cuda/device/block.h"
#include "kernels/cuda/device/functions.h"

namespace fovea::cuda {

inline constexpr int kTile = 64, kDepth = 16, kEach = 4, kLine = kTile + 4;      // kEach^2 results a thread

struct ProductParams {
  Grid batch;
  Elements a, b, y;                                // strides of the batch, then of rows and columns
  Elements bias, residual;                         // bias: of columns. Absent ones have no address
  int64_t m, n, k;
  float scale;
  Unary act;
  float slope_a, slope_b;
};

/// Rows [first, first + kTile) of a matrix, kDepth elements of the depth, into shared memory; zeros outside.
template <class T, class Thread>
FOVEA_DEVICE void bring(const Thread& t, const Elements& x, int64_t base, int64_t first, int64_t rows, int64_t row_step,
                        int64_t depth_from, int64_t depth, int64_t depth_step, T* to) {
  for (int i = t.thread(); i < kTile * kDepth; i += static_cast<int>(t.threads())) {
    const int row = i % kTile, d = i / kTile;
    const bool inside = first + row < rows && depth_from + d < depth;
    to[d * kLine + row] = inside ? load<T>(x, base + (first + row) * row_step + (depth_from + d) * depth_step) : T{0};
  }
}

/// y = act(scale a b + bias + residual), a tile of 64 by 64 a block of 256 threads.
template <class T, class Thread>
FOVEA_DEVICE void product(const Thread& t, const ProductParams& p) {
  T* const left = t.template shared<T>();
  T* const right = left + kDepth * kLine;
  const int r = p.batch.rank, row_in = t.thread() / (kTile / kEach) * kEach, column_in = t.thread() % (kTile / kEach);
  const int64_t across = (p.n + kTile - 1) / kTile, tiles = (p.m + kTile - 1) / kTile * across;
  for (int64_t tile = t.block(); tile < tiles * p.batch.count; tile += t.blocks()) {
    const int64_t image = tile / tiles, row = tile % tiles / across * kTile, column = tile % across * kTile;
    const int64_t from_a = offset_of(p.batch, p.a.strides, image), from_b = offset_of(p.batch, p.b.strides, image);
    T sums[kEach][kEach] = {};
    for (int64_t depth = 0; depth < p.k; depth += kDepth) {
      bring(t, p.a, from_a, row, p.m, p.a.strides[r], depth, p.k, p.a.strides[r + 1], left);
      bring(t, p.b, from_b, column, p.n, p.b.strides[r + 1], depth, p.k, p.b.strides[r], right);
      t.sync();
      for (int d = 0; d < kDepth; ++d)
        for (int i = 0; i < kEach; ++i)
          for (int j = 0; j < kEach; ++j)
            sums[i][j] += left[d * kLine + row_in + i] * right[d * kLine + column_in + j * (kTile / kEach)];
      t.sync();
    }
    const int64_t to = offset_of(p.batch, p.y.strides, image);
    for (int i = 0; i < kEach; ++i)
      for (int j = 0; j < kEach; ++j) {
        const int64_t at_row = row + row_in + i, at_column = column + column_in + j * (kTile / kEach);
        if (at_row >= p.m || at_column >= p.n) continue;
        T v = sums[i][j] * static_cast<T>(p.scale);
        if (p.bias.data) v += load<T>(p.bias, at_column * p.bias.strides[0]);
        if (p.residual.data)
          v += load<T>(p.residual, at_row * p.residual.strides[0] + at_column * p.residual.strides[1]);
        v = apply(p.act, static_cast<T>(p.slope_a), static_cast<T>(p.slope_b), v);
        store(p.y, to + at_row * p.y.strides[r] + at_column * p.y.strides[r + 1], v);
      }
  }
}

struct AttentionParams {
  Grid batch;
  Elements q, k, v, mask, y;                       // strides of the batch, of rows and columns; mask may be absent
  int64_t queries, keys, depth, values;
  float scale;
  bool causal;
};

/// softmax(scale q k^T + mask) v, a query a block; its scores lie in shared memory. What attends to nothing is zero.
template <class T, class Thread>
FOVEA_DEVICE void attention(const Thread& t, const AttentionParams& p) {
  T* const lent = t.template shared<T>();
  T* const scores = lent + kMostThreads / kWarp;
  const int r = p.batch.rank;
  for (int64_t i = t.block(); i < p.batch.count * p.queries; i += t.blocks()) {
    const int64_t image = i / p.queries, query = i % p.queries;
    const auto at = [&](const Elements& e, int64_t row, int64_t column) {
      return offset_of(p.batch, e.strides, image) + row * e.strides[r] + column * e.strides[r + 1];
    };
    T most = -INFINITY, sum = 0;
    along_row(t, p.keys, [&](int64_t key) {
      T s = 0;
      for (int64_t d = 0; d < p.depth; ++d) s += load<T>(p.q, at(p.q, query, d)) * load<T>(p.k, at(p.k, key, d));
      s *= static_cast<T>(p.scale);
      if (p.mask.data && p.mask.dtype == DType::boolean && load<int64_t>(p.mask, at(p.mask, query, key)) == 0)
        s = -INFINITY;
      else if (p.mask.data && p.mask.dtype != DType::boolean) s += load<T>(p.mask, at(p.mask, query, key));
      if (p.causal && key > query) s = -INFINITY;
      scores[key] = s;
      most = s > most || s != s ? s : most;
    });
    most = joined(t, most, lent, [](T a, T b) { return b > a || b != b ? b : a; });
    const bool any = most != T{-INFINITY};
    along_row(t, p.keys, [&](int64_t key) { sum += scores[key] = any ? std::exp(scores[key] - most) : T{0}; });
    sum = sum_of(t, sum, lent);
    t.sync();
    along_row(t, p.values, [&](int64_t e) {
      T out = 0;
      for (int64_t key = 0; key < p.keys; ++key) out += scores[key] * load<T>(p.v, at(p.v, key, e));
      store(p.y, at(p.y, query, e), any ? out / sum : T{0});
    });
    t.sync();                                      // before the next query's scores
  }
}

}  // namespace fovea::cuda
