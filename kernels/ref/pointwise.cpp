// SPDX-License-Identifier: Apache-2.0
// kernels/ref/pointwise.cpp — cast, unary and its gradient, binary, where: row by row, in double or int64.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/ops/lowered/chain.h"
#include "kernels/ref/functions.h"
#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

struct DivisionByZero {};

// f64 and f32 go by way of double; integers and bool by way of int64, so that nothing is lost.
template <class T>
void cast_by(const Run& r) {
  const Source x = r.in(0);
  const Target y = r.out();
  const RowWalk<2> walk(y.shape(), {y.meta.strides, x.meta.strides}, RowWalk<2>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    T row[kRow];
    load_row(x.meta.dtype, x.data, at[1], step[1], size, row);
    store_row(y.meta.dtype, row, y.data, at[0], step[0], size);
  });
}
void cast(const Run& r) { is_floating(r.in(0).meta.dtype) ? cast_by<double>(r) : cast_by<int64_t>(r); }

template <class T>
void unary_by(const Run& r) {
  const auto& attrs = r.attrs<UnaryAttrs>();
  const Source x = r.in(0);
  const Target y = r.out();
  const RowWalk<2> walk(y.shape(), {y.meta.strides, x.meta.strides}, RowWalk<2>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    T row[kRow];
    load_row(x.meta.dtype, x.data, at[1], step[1], size, row);
    apply(attrs.fn, static_cast<double>(attrs.a), static_cast<double>(attrs.b), row, size);
    store_row(y.meta.dtype, row, y.data, at[0], step[0], size);
  });
}
void unary(const Run& r) {
  is_floating(r.in(0).meta.dtype) || is_floating(r.out().meta.dtype) ? unary_by<double>(r) : unary_by<int64_t>(r);
}

void unary_dx(const Run& r) {
  const auto& attrs = r.attrs<UnaryAttrs>();
  const Target gx = r.out();
  const Source gy = r.in(0).expanded(gx.shape()), x = r.in(1).expanded(gx.shape());
  const RowWalk<3> walk(gx.shape(), {gx.meta.strides, gy.meta.strides, x.meta.strides},
                        RowWalk<3>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    double g[kRow], v[kRow];
    load_row(gy.meta.dtype, gy.data, at[1], step[1], size, g);
    load_row(x.meta.dtype, x.data, at[2], step[2], size, v);
    multiply_slope(attrs.fn, static_cast<double>(attrs.a), static_cast<double>(attrs.b), v, g, size);
    store_row(gx.meta.dtype, g, gx.data, at[0], step[0], size);
  });
}

int64_t wrapped(uint64_t v) { return static_cast<int64_t>(v); }
double add(double a, double b) { return a + b; }
double subtract(double a, double b) { return a - b; }
double multiply(double a, double b) { return a * b; }
double divide(double a, double b) { return a / b; }
double power(double a, double b) { return std::pow(a, b); }
double remainder(double a, double b) {
  const double m = std::fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
double floor_divide(double a, double b) {
  if (b == 0) return a / b;
  const double m = std::fmod(a, b);
  double q = (a - m) / b;
  if (m != 0 && (m < 0) != (b < 0)) q -= 1;
  return q == 0 ? std::copysign(0.0, a / b) : std::nearbyint(q);       // a - m is a multiple of b but for rounding
}
double maximum(double a, double b) { return a > b || std::isnan(a) ? a : b; }
double minimum(double a, double b) { return a < b || std::isnan(a) ? a : b; }

int64_t add(int64_t a, int64_t b) { return wrapped(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
int64_t subtract(int64_t a, int64_t b) { return wrapped(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); }
int64_t multiply(int64_t a, int64_t b) { return wrapped(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); }
int64_t divide(int64_t a, int64_t b) {
  if (b == 0) throw DivisionByZero{};
  return b == -1 ? subtract(0, a) : a / b;         // the smallest integer has no positive twin
}
int64_t remainder(int64_t a, int64_t b) {
  if (b == 0) throw DivisionByZero{};
  const int64_t m = b == -1 ? 0 : a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t q = divide(a, b);
  return b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
int64_t power(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  int64_t out = 1;
  for (; b > 0; b /= 2, a = multiply(a, a))
    if (b % 2) out = multiply(out, a);
  return out;
}
int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
void combine(Binary fn, T* a, const T* b, int64_t size) {
  const auto each = [&](auto f) {
    for (int64_t i = 0; i < size; ++i) a[i] = static_cast<T>(f(a[i], b[i]));
  };
  switch (fn) {
    case Binary::add: return each([](T x, T y) { return add(x, y); });
    case Binary::sub: return each([](T x, T y) { return subtract(x, y); });
    case Binary::mul: return each([](T x, T y) { return multiply(x, y); });
    case Binary::div: return each([](T x, T y) { return divide(x, y); });
    case Binary::pow: return each([](T x, T y) { return power(x, y); });
    case Binary::maximum: return each([](T x, T y) { return maximum(x, y); });
    case Binary::minimum: return each([](T x, T y) { return minimum(x, y); });
    case Binary::remainder: return each([](T x, T y) { return remainder(x, y); });
    case Binary::floor_divide: return each([](T x, T y) { return floor_divide(x, y); });
    case Binary::eq: return each([](T x, T y) { return x == y; });
    case Binary::ne: return each([](T x, T y) { return x != y; });
    case Binary::lt: return each([](T x, T y) { return x < y; });
    case Binary::le: return each([](T x, T y) { return x <= y; });
    case Binary::gt: return each([](T x, T y) { return x > y; });
    case Binary::ge: return each([](T x, T y) { return x >= y; });
    case Binary::logical_and: return each([](T x, T y) { return x != 0 && y != 0; });
    case Binary::logical_or: return each([](T x, T y) { return x != 0 || y != 0; });
    case Binary::count_: return;
  }
}

template <class T>
void binary_by(const Run& r) {
  const auto& attrs = r.attrs<BinaryAttrs>();
  const Target y = r.out();
  const Source a = r.in(0).expanded(y.shape()), b = r.in(1).expanded(y.shape());
  const RowWalk<3> walk(y.shape(), {y.meta.strides, a.meta.strides, b.meta.strides}, RowWalk<3>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    T left[kRow], right[kRow];
    load_row(a.meta.dtype, a.data, at[1], step[1], size, left);
    load_row(b.meta.dtype, b.data, at[2], step[2], size, right);
    combine(attrs.fn, left, right, size);
    store_row(y.meta.dtype, left, y.data, at[0], step[0], size);
  });
}
void binary(const Run& r) {
  const auto floating = [](const auto& view) { return is_floating(view.meta.dtype); };
  const bool real = floating(r.in(0)) || floating(r.in(1)) || floating(r.out());
  try {
    real ? binary_by<double>(r) : binary_by<int64_t>(r);
  } catch (DivisionByZero) {
    r.fail("an integer is divided by zero");
  }
}

template <class T>
void choose(const Run& r) {
  const Target y = r.out();
  const Source c = r.in(0).expanded(y.shape()), a = r.in(1).expanded(y.shape()), b = r.in(2).expanded(y.shape());
  const std::array<Strides, 4> strides{y.meta.strides, c.meta.strides, a.meta.strides, b.meta.strides};
  const RowWalk<4> walk(y.shape(), strides, RowWalk<4>::fastest_first_array);
  walk([&](const auto& at, int64_t size, const auto& step) {
    const uint8_t* pc = reinterpret_cast<const uint8_t*>(c.data) + at[1];
    const T* pa = reinterpret_cast<const T*>(a.data) + at[2];
    const T* pb = reinterpret_cast<const T*>(b.data) + at[3];
    T* py = reinterpret_cast<T*>(y.data) + at[0];
    for (int64_t i = 0; i < size; ++i) py[i * step[0]] = pc[i * step[1]] ? pa[i * step[2]] : pb[i * step[3]];
  });
}
void where(const Run& r) {
  switch (size_of(r.out().meta.dtype)) {
    case 1: return choose<uint8_t>(r);
    case 2: return choose<uint16_t>(r);
    case 4: return choose<uint32_t>(r);
    default: return choose<uint64_t>(r);
  }
}

// Each link rounds to f32, as it would alone.
void chain(const Run& r) {
  const auto& attrs = r.attrs<ChainAttrs>();
  const Target y = r.out();
  const int64_t n = y.meta.numel();
  std::vector<std::array<double, kRow>> made(static_cast<size_t>(attrs.size));
  for (int64_t first = 0; first < n; first += kRow) {
    const int64_t count = std::min<int64_t>(kRow, n - first);
    const auto load = [&](int v, double* row) {
      if (v < 0) {
        std::copy_n(made[static_cast<size_t>(-v - 1)].data(), count, row);
        return;
      }
      const Source x = r.in(v);
      const int64_t step = x.meta.numel() == 1 ? 0 : 1;
      load_row(x.meta.dtype, x.data, first * step, step, count, row);
    };
    for (int i = 0; i < attrs.size; ++i) {
      const Link& l = attrs.links[static_cast<size_t>(i)];
      double other[kRow], *row = made[static_cast<size_t>(i)].data();
      const double a = static_cast<double>(l.a), b = static_cast<double>(l.b);
      if (l.kind == Link::Kind::where) {
        load(reinterpret_cast<const uint8_t*>(r.in(l.x).data)[0] ? l.y : l.z, row);
      } else {
        load(l.x, row);
        if (l.kind != Link::Kind::unary) load(l.y, other);
        if (l.kind == Link::Kind::unary) apply(l.fn, a, b, row, count);
        else if (l.kind == Link::Kind::binary) combine(l.op, row, other, count);
        else multiply_slope(l.fn, a, b, other, row, count);
      }
      for (int64_t k = 0; k < count; ++k) row[k] = static_cast<double>(static_cast<float>(row[k]));
    }
    for (int i = 0; i < attrs.given; ++i)
      store_row(y.meta.dtype, made[static_cast<size_t>(attrs.results[static_cast<size_t>(i)])].data(), r.out(i).data,
                first, 1, count);
  }
}

}  // namespace

std::span<const Kernel> pointwise_kernels() {
  static constexpr Kernel table[] = {
      {&ops::cast, any_dtype<cast>},       {&ops::unary, no_half<unary>}, {&ops::unary_dx, no_half<unary_dx>},
      {&ops::binary, no_half<binary>},     {&ops::where, any_dtype<where>}, {&ops::chain, no_half<chain>},
  };
  return table;
}

}  // namespace fovea::ref
