// SPDX-License-Identifier: Apache-2.0
// kernels/ref/index.cpp — gather, scatter_add, index_select, index_add: operands that say where to read or write.
#include "kernels/ref/run.h"
#include "kernels/ref/sources.h"

namespace fovea::ref {
namespace {

std::vector<int64_t> indices(const Run& r, const Source& index, int dim, int64_t size) {
  std::vector<int64_t> all = load<int64_t>(index);
  for (int64_t i : all)
    if (i < 0 || i >= size) r.fail(fovea::str_cat("index ", i, " is outside dimension ", dim, " of size ", size));
  return all;
}

template <class T>
void gather_as(const Source& x, const Target& y, const std::vector<int64_t>& index, int dim) {
  Strides others = x.meta.strides;
  const int64_t along = others[dim];
  others[dim] = 0;
  const RowWalk<3> walk(y.shape(), {contiguous_strides(y.shape()), y.meta.strides, others}, RowWalk<3>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    const int64_t* i = index.data() + at[0];
    const T* from = reinterpret_cast<const T*>(x.data) + at[2];
    T* to = reinterpret_cast<T*>(y.data) + at[1];
    for (int64_t k = 0; k < size; ++k) to[k * step[1]] = from[k * step[2] + i[k * step[0]] * along];
  });
}

void gather(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  const Source x = r.in(0);
  const Target y = r.out();
  const std::vector<int64_t> index = indices(r, r.in(1), dim, x.dim(dim));
  switch (size_of(y.meta.dtype)) {
    case 1: return gather_as<uint8_t>(x, y, index, dim);
    case 2: return gather_as<uint16_t>(x, y, index, dim);
    case 4: return gather_as<uint32_t>(x, y, index, dim);
    default: return gather_as<uint64_t>(x, y, index, dim);
  }
}

template <class T>
void scatter_add_by(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  const Target y = r.out();
  const Shape& shape = r.in(1).shape();
  const std::vector<int64_t> index = indices(r, r.in(1), dim, y.dim(dim));
  Source src = r.in(2);
  for (int d = 0; d < shape.size(); ++d) src = src.narrowed(d, 0, shape[d]);      // src may be larger than index
  const std::vector<T> values = load<T>(src);
  std::vector<T> sums = load<T>(r.in(0));
  Strides others = contiguous_strides(y.shape());
  const int64_t along = others[dim];
  others[dim] = 0;
  const RowWalk<2> walk(shape, {contiguous_strides(shape), others}, RowWalk<2>::logical);
  walk([&](const auto& at, int64_t size, const auto& step) {
    for (int64_t k = 0; k < size; ++k) {
      const auto from = static_cast<size_t>(at[0] + k * step[0]);
      sums[static_cast<size_t>(at[1] + k * step[1] + index[from] * along)] += values[from];
    }
  });
  store(sums.data(), y);
}
void scatter_add(const Run& r) {
  is_floating(r.out().meta.dtype) ? scatter_add_by<double>(r) : scatter_add_by<int64_t>(r);
}

void index_select(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  Sources s = identity(r.out().shape());
  s[static_cast<size_t>(dim)] = indices(r, r.in(1), dim, r.in(0).dim(dim));
  fetch(s, r.in(0), r.out(), 0);
}

void index_add(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  Sources s = identity(r.in(0).shape());
  s[static_cast<size_t>(dim)] = indices(r, r.in(1), dim, r.out().dim(dim));
  add_to(s, r.in(0), r.out());
}

}  // namespace

std::span<const Kernel> index_kernels() {
  static constexpr Kernel table[] = {
      {&ops::gather, any_dtype<gather>},
      {&ops::scatter_add, no_half<scatter_add>},
      {&ops::index_select, any_dtype<index_select>},
      {&ops::index_add, no_half<index_add>},
  };
  return table;
}

}  // namespace fovea::ref
