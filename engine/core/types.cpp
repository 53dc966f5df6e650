// SPDX-License-Identifier: Apache-2.0
#include "engine/core/types.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "engine/core/error.h"

namespace fovea {
namespace {
constexpr std::string_view kNames[] = {"none", "f32", "f64", "bf16", "f16", "i64", "i32", "i8", "u8", "bool"};
constexpr std::string_view kLongNames[] = {"none",  "float32", "float64", "bfloat16", "float16",
                                           "int64", "int32",   "int8",    "uint8",    "boolean"};
constexpr std::string_view kDevices[] = {"cpu", "cuda", "far"};
}  // namespace

std::string_view name_of(DType t) { return kNames[static_cast<size_t>(t)]; }

DType parse_dtype(std::string_view name) {
  for (size_t i = 1; i < std::size(kNames); ++i)
    if (name == kNames[i] || name == kLongNames[i]) return static_cast<DType>(i);
  throw Error(Error::Kind::argument, str_cat("no dtype '", name, "'"), "known: f32 f64 bf16 f16 i64 i32 i8 u8 bool");
}

float to_float(bfloat16 v) { return std::bit_cast<float>(static_cast<uint32_t>(v.bits) << 16); }

bfloat16 to_bfloat16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  if (std::isnan(v)) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
}

float to_float(float16 v) {
  const uint32_t sign = static_cast<uint32_t>(v.bits & 0x8000) << 16, exponent = (v.bits >> 10) & 31,
                 fraction = v.bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  if (exponent == 0)
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

float16 to_float16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return {static_cast<uint16_t>(sign | 0x7E00)};
  if (magnitude >= 0x477FF000) return {static_cast<uint16_t>(sign | 0x7C00)};            // rounds to 65536 or more
  // below the smallest normal: steps of 2^-24
  if (magnitude < 0x38800000) {
    const float steps = std::bit_cast<float>(magnitude) * 0x1p24f;
    return {static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(steps)))};
  }
  return {static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13))};
}

std::string_view name_of(Device::Kind k) { return kDevices[static_cast<size_t>(k)]; }

std::string to_string(Device d) {
  return d.kind == Device::Kind::cpu ? "cpu" : str_cat(name_of(d.kind), ":", static_cast<int>(d.index));
}

Device parse_device(std::string_view name) {
  const size_t colon = name.find(':');
  const std::string_view number = colon == name.npos ? "0" : name.substr(colon + 1);
  int index = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
  const bool whole = error == std::errc() && end == number.data() + number.size() && index >= 0 && index <= 127;
  for (size_t i = 0; i < std::size(kDevices); ++i)
    if (whole && name.substr(0, colon) == kDevices[i] && (i > 0 || index == 0))
      return {static_cast<Device::Kind>(i), static_cast<int8_t>(index)};
  throw Error(Error::Kind::argument, str_cat("no device '", name, "'"), "devices are named as in cpu, cuda:0");
}

void Dims::too_many() { throw Error(Error::Kind::unsupported, str_cat("a tensor has at most ", kMax, " dimensions")); }

void Dims::insert(int at, int64_t v) {
  push_back(0);
  for (int i = size_ - 1; i > at; --i) (*this)[i] = (*this)[i - 1];
  (*this)[at] = v;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < size_; ++i) (*this)[i] = (*this)[i + 1];
  pop_back();
}

namespace {
// Elements, and steps between them, are such that their bytes can be counted, too.
constexpr int64_t kMostElements = INT64_MAX / 8;
bool multiplied(int64_t& n, int64_t by) { return !__builtin_mul_overflow(n, by, &n) && n <= kMostElements; }

[[noreturn]] void too_large(const Shape& s) {
  throw Error(Error::Kind::shape, str_cat("a tensor of shape ", s, " has more elements than any memory"));
}
}  // namespace

int64_t numel(const Shape& s) {
  int64_t n = 1;
  for (int64_t d : s)
    if (!multiplied(n, d)) {
      if (std::find(s.begin(), s.end(), 0) != s.end()) return 0;
      too_large(s);
    }
  return n;
}

std::string to_string(const Dims& d) {
  std::string s = "[";
  for (int i = 0; i < d.size(); ++i) s += str_cat(i ? ", " : "", d[i]);
  return s + "]";
}

Strides contiguous_strides(const Shape& s) {
  Strides out = Dims::filled(s.size(), 1);
  for (int i = s.size() - 2; i >= 0; --i)
    if (!multiplied(out[i] = out[i + 1], std::max<int64_t>(s[i + 1], 1))) too_large(s);
  return out;
}

Strides channels_last_strides(const Shape& s) {
  if (s.size() < 3 || s.size() > 5) return contiguous_strides(s);
  Strides out = Dims::filled(s.size(), 1);
  int64_t step = std::max<int64_t>(s[1], 1);
  for (int i = s.size() - 1; i >= 2; --i) {
    out[i] = step;
    if (!multiplied(step, std::max<int64_t>(s[i], 1))) too_large(s);
  }
  out[0] = step;
  return out;
}

Strides strides_for(const Shape& s, Memory m) {
  return m == Memory::channels_last ? channels_last_strides(s) : contiguous_strides(s);
}

int64_t Meta::dim(int i) const {
  const int at = i < 0 ? i + rank() : i;
  if (at < 0 || at >= rank())
    throw Error(Error::Kind::argument, str_cat("no dimension ", i, " in a tensor of shape ", shape));
  return shape[at];
}

namespace {
bool lies_as(const Meta& m, const Strides& wanted) {
  for (int i = 0; i < m.rank(); ++i)
    if (m.shape[i] != 1 && m.strides[i] != wanted[i]) return false;
  return true;
}
}  // namespace

bool Meta::is_contiguous() const { return numel() == 0 || lies_as(*this, contiguous_strides(shape)); }

bool Meta::is_channels_last() const {
  if (rank() < 3 || rank() > 5) return false;
  const Strides last = channels_last_strides(shape);
  // written so on purpose, also where sizes are 1
  if (strides == last) return strides != contiguous_strides(shape);
  return lies_as(*this, last) && !is_contiguous();
}

Memory Meta::memory() const {
  if (is_channels_last()) return Memory::channels_last;
  if (rank() < 4 || rank() > 5 || shape[1] == 1 || strides[1] != 1 || is_contiguous()) return Memory::contiguous;
  int64_t inner = shape[1];                        // some channels or pixels of a channels-last image
  for (int i = rank() - 1; i >= 2; --i) {
    if (shape[i] == 1) continue;
    if (strides[i] < inner) return Memory::contiguous;
    inner = strides[i] * shape[i];
  }
  return Memory::channels_last;
}

Meta make_meta(DType t, const Shape& s, Memory m, Device d) { return {t, d, s, strides_for(s, m)}; }

int64_t span_of(const Meta& m) {
  if (m.numel() == 0) return 0;
  int64_t last = 0;
  for (int i = 0; i < m.rank(); ++i) last += (m.shape[i] - 1) * m.strides[i];
  return last + 1;
}

std::string to_string(const Meta& m) {
  if (!m.present()) return "absent";
  std::string s = str_cat(name_of(m.dtype), m.shape);
  if (!m.is_contiguous()) s += m.is_channels_last() ? " channels_last" : str_cat(" strides ", m.strides);
  return m.device == cpu() ? s : str_cat(s, " on ", m.device);
}

}  // namespace fovea
