// SPDX-License-Identifier: Apache-2.0
// kernels/ref/view.h — elements in memory seen through shape and strides, and how to load and store them.
#pragma once
#include <array>
#include <cstddef>
#include <vector>

#include "engine/core/types.h"

namespace fovea::ref {

/// Where an operand or a result lies. The methods give other views of the same bytes.
template <class Byte>
struct View {
  Byte* data = nullptr;
  Meta meta;

  const Shape& shape() const& { return meta.shape; }
  Shape shape() && { return meta.shape; }          // a temporary view takes its shape with it
  int rank() const { return meta.rank(); }
  int64_t dim(int i) const { return meta.shape[i]; }
  View permuted(const Dims& order) const {
    View v{data, {meta.dtype, meta.device, {}, {}}};
    for (int64_t d : order) {
      v.meta.shape.push_back(meta.shape[static_cast<int>(d)]);
      v.meta.strides.push_back(meta.strides[static_cast<int>(d)]);
    }
    return v;
  }
  View swapped(int a, int b) const {
    View v = *this;
    v.meta.shape[a] = meta.shape[b], v.meta.shape[b] = meta.shape[a];
    v.meta.strides[a] = meta.strides[b], v.meta.strides[b] = meta.strides[a];
    return v;
  }
  View moved_last(int axis) const {
    Dims order;
    for (int i = 0; i < rank(); ++i)
      if (i != axis) order.push_back(i);
    order.push_back(axis);
    return permuted(order);
  }
  /// Repeated, NumPy's way, to a shape of at least this rank.
  View expanded(const Shape& s) const {
    View v{data, {meta.dtype, meta.device, s, Dims::filled(s.size(), 0)}};
    const int lead = s.size() - rank();
    for (int i = 0; i < rank(); ++i)
      if (meta.shape[i] != 1) v.meta.strides[lead + i] = meta.strides[i];
    return v;
  }
  /// The elements from `start` on along `dim`; `size` of them.
  View narrowed(int dim, int64_t start, int64_t size) const {
    View v = advanced(start * meta.strides[dim]);
    v.meta.shape[dim] = size;
    return v;
  }
  View advanced(int64_t elements) const {
    View v = *this;
    v.data += elements * static_cast<int64_t>(size_of(meta.dtype));
    return v;
  }
  /// What remains of the dimensions from `first` on.
  View trailing(int first) const {
    View v{data, {meta.dtype, meta.device, {}, {}}};
    for (int i = first; i < rank(); ++i) {
      v.meta.shape.push_back(meta.shape[i]);
      v.meta.strides.push_back(meta.strides[i]);
    }
    return v;
  }
};
using Source = View<const std::byte>;
using Target = View<std::byte>;

constexpr int64_t kRow = 1024;                     // no row is longer, so that callers can keep one on the stack

/// Walks N arrays of one shape together, at most kRow elements at a time: row(offsets, size, steps), all in elements.
template <size_t N>
class RowWalk {
 public:
  using Steps = std::array<int64_t, N>;
  enum Order { logical, fastest_first_array };     // row-major over the shape, or as the first array lies in memory
  RowWalk(const Shape& shape, const std::array<Strides, N>& strides, Order order);

  template <class Row>
  void operator()(Row row) const {
    if (empty_) return;
    const Loop& inner = loops_.back();
    const size_t outer = loops_.size() - 1;
    std::array<int64_t, Dims::kMax> at{};
    Steps offsets{};
    for (;;) {
      for (int64_t from = 0; from < inner.size; from += kRow) {
        Steps start = offsets;
        for (size_t k = 0; k < N; ++k) start[k] += from * inner.steps[k];
        row(start, inner.size - from < kRow ? inner.size - from : kRow, inner.steps);
      }
      size_t d = outer;
      for (; d > 0; --d) {
        const Loop& l = loops_[d - 1];
        for (size_t k = 0; k < N; ++k) offsets[k] += l.steps[k];
        if (++at[d - 1] < l.size) break;
        for (size_t k = 0; k < N; ++k) offsets[k] -= l.steps[k] * l.size;
        at[d - 1] = 0;
      }
      if (d == 0) return;
    }
  }

 private:
  struct Loop {
    int64_t size;
    Steps steps;
  };
  std::vector<Loop> loops_;                        // slowest first; neighbours that step alike are merged
  bool empty_ = false;
};

// T is double or int64_t. Real numbers become integers by truncation, anything becomes bool by `!= 0`.
template <class T>
void load_row(DType t, const std::byte* from, int64_t offset, int64_t step, int64_t size, T* to);
template <class T>
void store_row(DType t, const T* from, std::byte* to, int64_t offset, int64_t step, int64_t size);
template <class T>
std::vector<T> load(const Source& from);           // dense, row-major
template <class T>
void store(const T* from, const Target& to);       // from: dense, row-major
void fill(const Target& to, double value);

}  // namespace fovea::ref
