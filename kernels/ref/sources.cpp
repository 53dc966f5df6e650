// SPDX-License-Identifier: Apache-2.0
// kernels/ref/sources.cpp — moving elements by tables of indices.
#include "kernels/ref/sources.h"

#include <numeric>

namespace fovea::ref {
namespace {

// Calls row(from, to) for every index of all dimensions but the last; `from` is -1 outside. Strides in elements.
template <class Row>
void for_each_row(const Sources& s, const Shape& shape, const Strides& from_strides, const Strides& to_strides,
                  Row row) {
  if (numel(shape) == 0) return;
  const int outer = shape.size() - 1;
  Dims at = Dims::filled(outer, 0);
  for (;;) {
    int64_t from = 0, to = 0;
    for (int d = 0; d < outer; ++d) {
      const int64_t i = s[static_cast<size_t>(d)][static_cast<size_t>(at[d])];
      from = from < 0 || i < 0 ? -1 : from + i * from_strides[d];
      to += at[d] * to_strides[d];
    }
    row(from, to);
    int d = outer;
    while (d > 0 && ++at[d - 1] == shape[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

template <class T>
void fetch_as(const Sources& s, const Source& x, const Target& y) {
  const T* px = reinterpret_cast<const T*>(x.data);
  T* py = reinterpret_cast<T*>(y.data);
  if (y.rank() == 0) {
    *py = *px;
    return;
  }
  const int last = y.rank() - 1;
  const int64_t from_step = x.meta.strides[last], to_step = y.meta.strides[last], size = y.dim(last);
  const int64_t* source = s.back().data();
  for_each_row(s, y.shape(), x.meta.strides, y.meta.strides, [&](int64_t from, int64_t to) {
    if (from < 0) return;
    for (int64_t i = 0; i < size; ++i)
      if (source[i] >= 0) py[to + i * to_step] = px[from + source[i] * from_step];
  });
}

}  // namespace

Sources identity(const Shape& shape) {
  Sources s;
  for (int64_t size : shape) {
    s.emplace_back(static_cast<size_t>(size));
    std::iota(s.back().begin(), s.back().end(), int64_t{0});
  }
  return s;
}

void fetch(const Sources& s, const Source& x, const Target& y, double outside) {
  bool any_outside = false;
  for (const std::vector<int64_t>& table : s)
    for (int64_t i : table) any_outside = any_outside || i < 0;
  if (any_outside) fill(y, outside);
  switch (size_of(y.meta.dtype)) {
    case 1: return fetch_as<uint8_t>(s, x, y);
    case 2: return fetch_as<uint16_t>(s, x, y);
    case 4: return fetch_as<uint32_t>(s, x, y);
    default: return fetch_as<uint64_t>(s, x, y);
  }
}

void add_to(const Sources& s, const Source& x, const Target& y) {
  const std::vector<double> gx = load<double>(x);
  std::vector<double> gy(static_cast<size_t>(y.meta.numel()));
  const int last = x.rank() - 1;
  if (last < 0) {
    gy = gx;
  } else {
    const double* from = gx.data();
    const int64_t* target = s.back().data();
    for_each_row(s, x.shape(), contiguous_strides(y.shape()), contiguous_strides(x.shape()), [&](int64_t to, int64_t) {
      for (int64_t i = 0; i < x.dim(last); ++i)
        if (to >= 0 && target[i] >= 0) gy[static_cast<size_t>(to + target[i])] += from[i];
      from += x.dim(last);
    });
  }
  store(gy.data(), y);
}

}  // namespace fovea::ref
