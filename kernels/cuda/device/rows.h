// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/rows.h — what a block makes of a row: reductions, softmax, norms and their gradients.
#pragma once
#include "kernels/cuda/device/block.h"
#include "kernels/cuda/device/functions.h"

namespace fovea::cuda {

/// Rows are the places of `outer`, their elements those of `inner`; strides of both follow one another in Elements.
struct RowsParams {
  Grid outer, inner;
  Elements x, y;                                   // y of reductions: strides of outer alone
  Reduce fn;
  bool largest, logarithm;
};

template <class T, class Thread, class Row>
FOVEA_DEVICE void each_row(const Thread& t, const Grid& outer, const Row& row) {
  for (int64_t r = t.block(); r < outer.count; r += t.blocks()) row(r);
}

template <class T>
FOVEA_DEVICE T start_of(Reduce fn) {
  constexpr bool real = is_real<T>;
  switch (fn) {
    case Reduce::max: if constexpr (real) return -INFINITY; else return INT64_MIN;
    case Reduce::min: if constexpr (real) return INFINITY; else return INT64_MAX;
    case Reduce::prod: case Reduce::all: return 1;
    default: return 0;
  }
}
template <class T>
FOVEA_DEVICE T plus(T a, T b) {
  if constexpr (is_real<T>) return a + b;
  else return wrapped(bits_of(a) + bits_of(b));
}
template <class T>
FOVEA_DEVICE T times(T a, T b) {
  if constexpr (is_real<T>) return a * b;
  else return wrapped(bits_of(a) * bits_of(b));
}
template <class T>
FOVEA_DEVICE T reduced(Reduce fn, T a, T b) {       // of partial results
  switch (fn) {
    case Reduce::max: return b > a || b != b ? b : a;
    case Reduce::min: return b < a || b != b ? b : a;
    case Reduce::prod: return times(a, b);
    case Reduce::any: return static_cast<T>(a != 0 || b != 0);
    case Reduce::all: return static_cast<T>(a != 0 && b != 0);
    case Reduce::sum: case Reduce::mean: case Reduce::sum_squares: break;
  }
  return plus(a, b);
}

template <class T, class Thread>
FOVEA_DEVICE void reduce(const Thread& t, const RowsParams& p) {
  each_row<T>(t, p.outer, [&](int64_t r) {
    const int64_t row = offset_of(p.outer, p.x.strides, r);
    T v = start_of<T>(p.fn);
    along_row(t, p.inner.count, [&](int64_t i) {
      const T x = load<T>(p.x, row + offset_of(p.inner, p.x.strides + p.outer.rank, i));
      v = reduced(p.fn, v, p.fn == Reduce::sum_squares ? times(x, x) : x);
    });
    v = joined(t, v, t.template shared<T>(), [&](T a, T b) { return reduced(p.fn, a, b); });
    if (p.fn == Reduce::mean) v /= static_cast<T>(p.inner.count);
    if (t.thread() == 0) store(p.y, offset_of(p.outer, p.y.strides, r), v);
  });
}

template <class T>
struct Best {
  T value;
  int64_t at;                                      // -1: none yet
};

/// The first largest or smallest of a row; NaN is more than either.
template <class T, class Thread>
FOVEA_DEVICE void argreduce(const Thread& t, const RowsParams& p) {
  const auto better = [&](const Best<T>& a, const Best<T>& b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a != nan_b) return nan_a ? a : b;
    if (nan_a || a.value == b.value) return a.at < b.at ? a : b;
    return (a.value > b.value) == p.largest ? a : b;
  };
  each_row<T>(t, p.outer, [&](int64_t r) {
    const int64_t row = offset_of(p.outer, p.x.strides, r);
    Best<T> best{T{}, -1};
    along_row(t, p.inner.count, [&](int64_t i) {
      best = better(best, {load<T>(p.x, row + offset_of(p.inner, p.x.strides + p.outer.rank, i)), i});
    });
    best = joined(t, best, t.template shared<Best<T>>(), better);
    if (t.thread() == 0) store(p.y, offset_of(p.outer, p.y.strides, r), best.at);
  });
}

template <class T, class Thread>
FOVEA_DEVICE void softmax(const Thread& t, const RowsParams& p) {
  T* const lent = t.template shared<T>();
  each_row<T>(t, p.outer, [&](int64_t r) {
    const int64_t from = offset_of(p.outer, p.x.strides, r), to = offset_of(p.outer, p.y.strides, r);
    const int64_t step_x = p.x.strides[p.outer.rank], step_y = p.y.strides[p.outer.rank];
    T most = -INFINITY, sum = 0;
    along_row(t, p.inner.count, [&](int64_t i) { most = reduced(Reduce::max, most, load<T>(p.x, from + i * step_x)); });
    most = joined(t, most, lent, [](T a, T b) { return reduced(Reduce::max, a, b); });
    along_row(t, p.inner.count, [&](int64_t i) { sum += std::exp(load<T>(p.x, from + i * step_x) - most); });
    sum = sum_of(t, sum, lent);
    const T less = std::log(sum);
    along_row(t, p.inner.count, [&](int64_t i) {
      const T v = load<T>(p.x, from + i * step_x) - most;
      store(p.y, to + i * step_y, p.logarithm ? v - less : std::exp(v) / sum);
    });
  });
}

/// Norms. Element i of row r has the factors at (r % factor_rows * row_step + i / element_run) * factor_step.
struct NormParams {
  Grid outer, inner;                               // of rows that are normalised together, in x and y
  Elements x, y, w, b;                             // absent ones have no address
  Elements mean, invstd;                           // batch norm's results, one a row
  float eps;
  bool centered;                                   // less its mean; else the root of mean squares
  int64_t factor_rows, row_step, element_run, element_step;
};

FOVEA_DEVICE int64_t factor_at(const NormParams& p, int64_t row, int64_t i) {
  return row % p.factor_rows * p.row_step + i / p.element_run * p.element_step;
}

template <class T>
struct Moments {
  T mean, invstd;
};

/// value(i) of a row: two passes, as the difference of large sums would lose what it is about.
template <class T, class Thread, class Value>
FOVEA_DEVICE Moments<T> moments(const Thread& t, int64_t size, T eps, bool centered, const Value& value) {
  T* const lent = t.template shared<T>();
  T mean = 0, squares = 0;
  if (centered) {
    along_row(t, size, [&](int64_t i) { mean += value(i); });
    mean = sum_of(t, mean, lent) / static_cast<T>(size);
  }
  along_row(t, size, [&](int64_t i) {
    const T d = value(i) - mean;
    squares += d * d;
  });
  return {mean, 1 / std::sqrt(sum_of(t, squares, lent) / static_cast<T>(size) + eps)};
}

template <class T, class Thread>
FOVEA_DEVICE void norm(const Thread& t, const NormParams& p) {
  each_row<T>(t, p.outer, [&](int64_t r) {
    const int64_t from = offset_of(p.outer, p.x.strides, r), to = offset_of(p.outer, p.y.strides, r);
    const auto value = [&](int64_t i) {
      return load<T>(p.x, from + offset_of(p.inner, p.x.strides + p.outer.rank, i));
    };
    const Moments<T> m = moments(t, p.inner.count, static_cast<T>(p.eps), p.centered, value);
    along_row(t, p.inner.count, [&](int64_t i) {
      const int64_t k = factor_at(p, r, i);
      const T w = p.w.data ? load<T>(p.w, k) : T{1}, b = p.b.data ? load<T>(p.b, k) : T{0};
      store(p.y, to + offset_of(p.inner, p.y.strides + p.outer.rank, i), (value(i) - m.mean) * m.invstd * w + b);
    });
    if (t.thread() == 0 && p.mean.data) {
      store(p.mean, r, m.mean);
      store(p.invstd, r, m.invstd);
    }
  });
}

/// Gradients of norms by x, and of what a row adds to those by w and b.
struct NormDxParams {
  Grid outer, inner;
  Elements gy, x, gx, w, mean, invstd;             // without mean and invstd they are computed anew
  Elements gw, gb;                                 // batch norm's: one a row. Without an address: not here
  Elements made_mean, made_invstd;                 // one a row, for norm_dw. Without an address: not wanted
  float eps;
  bool by_element;                                 // w has an element for each place of a row; else one for each row
};

template <class T, class Thread>
FOVEA_DEVICE void norm_dx(const Thread& t, const NormDxParams& p) {
  T* const lent = t.template shared<T>();
  each_row<T>(t, p.outer, [&](int64_t r) {
    const auto at = [&](const Elements& e, int64_t i) {
      return offset_of(p.outer, e.strides, r) + offset_of(p.inner, e.strides + p.outer.rank, i);
    };
    const auto value = [&](int64_t i) { return load<T>(p.x, at(p.x, i)); };
    Moments<T> m{};
    if (p.mean.data) m = {load<T>(p.mean, r), load<T>(p.invstd, r)};
    else m = moments(t, p.inner.count, static_cast<T>(p.eps), true, value);
    const auto weight = [&](int64_t i) { return p.w.data ? load<T>(p.w, p.by_element ? i : r) : T{1}; };
    T sum = 0, product = 0;
    along_row(t, p.inner.count, [&](int64_t i) {
      const T g = load<T>(p.gy, at(p.gy, i)) * (p.by_element ? weight(i) : T{1});
      sum += g;
      product += g * (value(i) - m.mean) * m.invstd;
    });
    sum = sum_of(t, sum, lent);
    product = sum_of(t, product, lent);
    const auto n = static_cast<T>(p.inner.count);
    along_row(t, p.inner.count, [&](int64_t i) {
      const T normal = (value(i) - m.mean) * m.invstd, outer = p.by_element ? T{1} : weight(i);
      const T g = load<T>(p.gy, at(p.gy, i)) * (p.by_element ? weight(i) : T{1});
      store(p.gx, at(p.gx, i), (g - sum / n - normal * product / n) * m.invstd * outer);
    });
    if (t.thread() == 0 && p.gw.data) {
      store(p.gw, r, product);
      store(p.gb, r, sum);
    }
    if (t.thread() == 0 && p.made_mean.data) {
      store(p.made_mean, r, m.mean);
      store(p.made_invstd, r, m.invstd);
    }
  });
}

/// The gradients of layer norm's w and b: a block an element, over all rows. gx is not touched.
template <class T, class Thread>
FOVEA_DEVICE void norm_dw(const Thread& t, const NormDxParams& p) {
  T* const lent = t.template shared<T>();
  for (int64_t e = t.block(); e < p.inner.count; e += t.blocks()) {
    T gw = 0, gb = 0;
    along_row(t, p.outer.count, [&](int64_t r) {
      const T g = load<T>(p.gy, offset_of(p.outer, p.gy.strides, r) + e * p.gy.strides[p.outer.rank]);
      const T x = load<T>(p.x, offset_of(p.outer, p.x.strides, r) + e * p.x.strides[p.outer.rank]);
      gw += g * (x - load<T>(p.mean, r)) * load<T>(p.invstd, r);
      gb += g;
    });
    gw = sum_of(t, gw, lent);
    gb = sum_of(t, gb, lent);
    if (t.thread() == 0) {
      store(p.gw, e, gw);
      store(p.gb, e, gb);
    }
  }
}

}  // namespace fovea::cuda
