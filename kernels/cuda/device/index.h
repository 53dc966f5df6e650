// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/index.h — gather, index_select, index_add, scatter_add: operands say where to read or write.
#pragma once
#include "kernels/cuda/device/elements.h"

namespace fovea::cuda {

struct GatherParams {
  Grid grid;                                       // of y
  void* y;
  const void* x;
  const int64_t* index;
  int64_t to[kRank], from[kRank], index_strides[kRank];     // from[dim] is 0
  int64_t along, size;                             // stride and size of x along dim
};

/// y[...] = x[... index ...]. T: an unsigned integer as wide as the elements.
template <class T, class Thread>
FOVEA_DEVICE void gather(const Thread& t, const GatherParams& p) {
  bool failed = false;
  share(t, p.grid.count, [&](int64_t i) {
    int64_t to = 0, from = 0, at = 0;
    unravel(p.grid, i, [&](int d, int64_t place) {
      to += place * p.to[d], from += place * p.from[d], at += place * p.index_strides[d];
    });
    const int64_t k = p.index[at];
    if (k < 0 || k >= p.size) failed = true;
    else static_cast<T*>(p.y)[to] = static_cast<const T*>(p.x)[from + k * p.along];
  });
  if (failed) t.fail(Failure::index_out_of_range);
}

struct IndexAddParams {
  Grid grid;                                       // of y
  Elements y, x;
  const int64_t* index;
  int64_t index_stride, many;                      // how many indices
  int32_t dim;
};

/// y[... k ...] = the sum of x[... j ...] over all j with index[j] == k, in the order of j: the same bits in each run.
template <class T, class Thread>
FOVEA_DEVICE void index_add(const Thread& t, const IndexAddParams& p) {
  bool failed = false;
  share(t, p.grid.count, [&](int64_t i) {
    int64_t to = 0, from = 0, place_along = 0;
    unravel(p.grid, i, [&](int d, int64_t place) {
      to += place * p.y.strides[d];
      if (d == p.dim) place_along = place;
      else from += place * p.x.strides[d];
    });
    T sum{};
    for (int64_t j = 0; j < p.many; ++j) {
      const int64_t k = p.index[j * p.index_stride];
      failed = failed || k < 0 || k >= p.grid.sizes[p.dim];
      if (k == place_along) sum += load<T>(p.x, from + j * p.x.strides[p.dim]);
    }
    store(p.y, to, sum);
  });
  if (failed) t.fail(Failure::index_out_of_range);
}

struct ScatterParams {
  Grid grid;                                       // of index
  void* y;
  const void* x;
  const int64_t* index;
  int64_t to[kRank], from[kRank], index_strides[kRank];     // to[dim] is 0
  int64_t along, size;                             // stride and size of y along dim
};

/// y[... index ...] += x[...], atomically, so that the order of sums is not known.
template <class T, class Thread>
FOVEA_DEVICE void scatter_add(const Thread& t, const ScatterParams& p) {
  bool failed = false;
  share(t, p.grid.count, [&](int64_t i) {
    int64_t to = 0, from = 0, at = 0;
    unravel(p.grid, i, [&](int d, int64_t place) {
      to += place * p.to[d], from += place * p.from[d], at += place * p.index_strides[d];
    });
    const int64_t k = p.index[at];
    if (k < 0 || k >= p.size) failed = true;
    else t.add(static_cast<T*>(p.y) + to + k * p.along, static_cast<const T*>(p.x)[from]);
  });
  if (failed) t.fail(Failure::index_out_of_range);
}

}  // namespace fovea::cuda
