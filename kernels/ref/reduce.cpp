// SPDX-License-Identifier: Apache-2.0
// kernels/ref/reduce.cpp — everything along axes: the axis is moved last, then rows are dense.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

bool is_nan(double v) { return std::isnan(v); }
bool is_nan(int64_t) { return false; }
template <class T>
T plus(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return a + b;
  else return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <class T>
T times(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return a * b;
  else return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

template <class T>
T reduce_row(const Run& r, Reduce fn, const T* x, int64_t size) {
  const auto gather = [&](T start, auto f) {
    for (int64_t i = 0; i < size; ++i) start = f(start, x[i]);
    return start;
  };
  if (size == 0 && (fn == Reduce::max || fn == Reduce::min)) r.fail("the largest or smallest of no elements");
  switch (fn) {
    case Reduce::sum: return gather(T{0}, plus<T>);
    case Reduce::mean: return static_cast<T>(gather(T{0}, plus<T>) / static_cast<T>(size));
    case Reduce::max: return gather(x[0], [](T a, T b) { return b > a || is_nan(b) ? b : a; });
    case Reduce::min: return gather(x[0], [](T a, T b) { return b < a || is_nan(b) ? b : a; });
    case Reduce::prod: return gather(T{1}, times<T>);
    case Reduce::any: return gather(T{0}, [](T a, T b) { return static_cast<T>(a != 0 || b != 0); });
    case Reduce::all: return gather(T{1}, [](T a, T b) { return static_cast<T>(a != 0 && b != 0); });
    case Reduce::sum_squares: return gather(T{0}, [](T a, T b) { return plus(a, times(b, b)); });
  }
  r.fail("unknown reduction");
}

template <class T>
void reduce_by(const Run& r) {
  const auto& attrs = r.attrs<ReduceAttrs>();
  const Source x = r.in(0);
  Dims kept;
  for (int i = 0; i < x.rank(); ++i)
    if (std::find(attrs.axes.begin(), attrs.axes.end(), i) == attrs.axes.end()) kept.push_back(i);
  Dims order = kept;
  int64_t size = 1;
  for (int64_t axis : attrs.axes) {
    order.push_back(axis);
    size *= x.dim(static_cast<int>(axis));
  }
  const std::vector<T> rows = load<T>(x.permuted(order));
  std::vector<T> out(static_cast<size_t>(r.out().meta.numel()));
  const T* row = rows.data();
  for (T& v : out) {
    v = reduce_row(r, attrs.fn, row, size);
    row += size;
  }
  store(out.data(), r.out());
}
bool is_real(const Run& r) { return is_floating(r.in(0).meta.dtype) || is_floating(r.out().meta.dtype); }
void reduce(const Run& r) { is_real(r) ? reduce_by<double>(r) : reduce_by<int64_t>(r); }

template <class T>
void argreduce_by(const Run& r) {
  const auto& attrs = r.attrs<ArgReduceAttrs>();
  const Source x = r.in(0);
  const int64_t size = x.dim(attrs.dim);
  const std::vector<T> rows = load<T>(x.moved_last(attrs.dim));
  std::vector<int64_t> out(static_cast<size_t>(r.out().meta.numel()));
  if (size == 0 && !out.empty()) r.fail("the largest or smallest of no elements");
  const T* row = rows.data();
  for (int64_t& best : out) {
    for (int64_t i = 1; i < size; ++i) {
      const bool better = attrs.largest ? row[i] > row[best] : row[i] < row[best];
      if (!is_nan(row[best]) && (better || is_nan(row[i]))) best = i;
    }
    row += size;
  }
  store(out.data(), r.out());
}
void argreduce(const Run& r) { is_floating(r.in(0).meta.dtype) ? argreduce_by<double>(r) : argreduce_by<int64_t>(r); }

template <class T>
void cumsum_by(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  const int64_t size = r.in(0).dim(dim);
  std::vector<T> rows = load<T>(r.in(0).moved_last(dim));
  for (size_t i = 1; i < rows.size(); ++i)
    if (static_cast<int64_t>(i) % size != 0) rows[i] = plus(rows[i], rows[i - 1]);
  store(rows.data(), r.out().moved_last(dim));
}
void cumsum(const Run& r) { is_real(r) ? cumsum_by<double>(r) : cumsum_by<int64_t>(r); }

template <class T>
void topk_by(const Run& r) {
  const auto& attrs = r.attrs<TopkAttrs>();
  const int64_t size = r.in(0).dim(attrs.dim);
  const std::vector<T> rows = load<T>(r.in(0).moved_last(attrs.dim));
  const int64_t count = size == 0 ? 0 : static_cast<int64_t>(rows.size()) / size;
  std::vector<T> values;
  std::vector<int64_t> indices, order(static_cast<size_t>(size));
  for (int64_t n = 0; n < count; ++n) {
    const T* row = rows.data() + n * size;
    const auto above = [&](int64_t a, int64_t b) { return row[a] > row[b] || (is_nan(row[a]) && !is_nan(row[b])); };
    std::iota(order.begin(), order.end(), int64_t{0});
    if (attrs.largest) std::stable_sort(order.begin(), order.end(), above);
    else std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return above(b, a); });
    for (int64_t i = 0; i < attrs.k; ++i) {
      indices.push_back(order[static_cast<size_t>(i)]);
      values.push_back(row[indices.back()]);
    }
  }
  store(values.data(), r.out(0).moved_last(attrs.dim));
  store(indices.data(), r.out(1).moved_last(attrs.dim));
}
void topk(const Run& r) { is_floating(r.in(0).meta.dtype) ? topk_by<double>(r) : topk_by<int64_t>(r); }

template <bool logarithm>
void softmax(const Run& r) {
  const int dim = r.attrs<AxisAttrs>().dim;
  const int64_t size = r.in(0).dim(dim);
  std::vector<double> rows = load<double>(r.in(0).moved_last(dim));
  for (double* x = rows.data(); x < rows.data() + rows.size(); x += size) {
    const double most = *std::max_element(x, x + size);
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += std::exp(x[i] - most);
    for (int64_t i = 0; i < size; ++i) x[i] = logarithm ? x[i] - most - std::log(sum) : std::exp(x[i] - most) / sum;
  }
  store(rows.data(), r.out().moved_last(dim));
}

}  // namespace

std::span<const Kernel> reduce_kernels() {
  static constexpr Kernel table[] = {
      {&ops::reduce, no_half<reduce>},          {&ops::argreduce, no_half<argreduce>},
      {&ops::cumsum, no_half<cumsum>},          {&ops::topk, no_half<topk>},
      {&ops::softmax, no_half<softmax<false>>}, {&ops::log_softmax, no_half<softmax<true>>},
  };
  return table;
}

}  // namespace fovea::ref
