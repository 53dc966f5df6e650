// SPDX-License-Identifier: Apache-2.0
#include "engine/core/finite.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/strided_copy.h"

namespace fovea {
namespace {

double number(float v) { return static_cast<double>(v); }
double number(double v) { return v; }
double number(bfloat16 v) { return static_cast<double>(to_float(v)); }
double number(float16 v) { return static_cast<double>(to_float(v)); }

// A type's exponent is all ones in what is not finite, and in nothing else.
template <class Bits>
bool finite_bits(const std::byte* p, int64_t n, Bits exponent) {
  const auto* bits = reinterpret_cast<const Bits*>(p);
  constexpr int64_t kBlock = 4096;                 // without an early end the loop inside is vectorised
  for (int64_t at = 0; at < n; at += kBlock) {
    bool good = true;
    for (int64_t i = at; i < std::min(n, at + kBlock); ++i) good &= (bits[i] & exponent) != exponent;
    if (!good) return false;
  }
  return true;
}

// The same elements in one piece: itself where it is dense, in whatever order.
Tensor in_one_piece(const Tensor& t) {
  const Meta& m = t.meta();
  if (m.is_contiguous() || m.is_channels_last()) return t;
  Tensor out = empty(m.shape, m.dtype);
  if (m.numel()) copy_strided(m, t.bytes(), out.meta(), out.bytes());
  return out;
}

std::string place_of(int64_t index, const Shape& s) {
  Dims at = Dims::filled(s.size(), 0);
  for (int i = s.size() - 1; i >= 0; --i) {
    at[i] = index % s[i];
    index /= s[i];
  }
  return to_string(at);
}

template <class T>
std::optional<std::string> find(const Tensor& rows) {
  std::string first;
  int64_t count = 0;
  const std::span<const T> values = rows.data<T>();
  for (size_t i = 0; i < values.size(); ++i)
    if (const double v = number(values[i]); !std::isfinite(v) && count++ == 0)
      first = str_cat(std::isnan(v) ? "nan"
                      : v > 0       ? "inf"
                                    : "-inf",
                      " at ", place_of(static_cast<int64_t>(i), rows.shape()));
  if (count == 0) return {};
  return count == 1 ? first : str_cat(first, ", ", count, " such values in all");
}

}  // namespace

bool all_finite(const Tensor& t) {
  if (!is_floating(t.dtype()) || t.numel() == 0) return true;
  const Tensor whole = in_one_piece(on_host(t));
  const std::byte* const p = whole.bytes();
  switch (t.dtype()) {
    case DType::f64: return finite_bits<uint64_t>(p, t.numel(), 0x7FF0'0000'0000'0000);
    case DType::bf16: return finite_bits<uint16_t>(p, t.numel(), 0x7F80);
    case DType::f16: return finite_bits<uint16_t>(p, t.numel(), 0x7C00);
    default: return finite_bits<uint32_t>(p, t.numel(), 0x7F80'0000);
  }
}

std::optional<std::string> first_not_finite(const Tensor& given) {
  const Tensor t = on_host(given);
  if (all_finite(t)) return {};
  Tensor rows = empty(t.shape(), t.dtype());
  copy_strided(t.meta(), t.bytes(), rows.meta(), rows.bytes());
  switch (t.dtype()) {
    case DType::f64: return find<double>(rows);
    case DType::bf16: return find<bfloat16>(rows);
    case DType::f16: return find<float16>(rows);
    default: return find<float>(rows);
  }
}

}  // namespace fovea
