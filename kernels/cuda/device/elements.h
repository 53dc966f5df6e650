// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/elements.h — loads and stores of every dtype, as the type that a kernel calculates in.
#pragma once
#include <type_traits>

#include "kernels/cuda/device/vocabulary.h"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace fovea::cuda {

/// What a kernel calculates in: f32 for up to 32 bits of a floating type, double, or int64_t.
template <class T>
constexpr bool is_real = std::is_floating_point_v<T>;

FOVEA_DEVICE float widened(bfloat16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float f;
  static_assert(sizeof f == sizeof bits);
  __builtin_memcpy(&f, &bits, sizeof f);
  return f;
}
FOVEA_DEVICE float widened(float16 v) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(v.bits));
#elif defined(__CUDACC__)
  return 0 * static_cast<float>(v.bits);           // only devices call it
#else
  return to_float(v);
#endif
}
FOVEA_DEVICE bfloat16 bfloat16_of(float v) {        // to nearest even; NaN stays NaN
  uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
FOVEA_DEVICE float16 float16_of(float v) {
#if defined(__CUDA_ARCH__)
  return {__half_as_ushort(__float2half_rn(v))};
#elif defined(__CUDACC__)
  return {static_cast<uint16_t>(v)};               // only devices call it
#else
  return to_float16(v);
#endif
}

FOVEA_DEVICE int64_t truncated(double v) {          // out of range and NaN as x86 does it
  return v >= -0x1p63 && v < 0x1p63 ? static_cast<int64_t>(v) : INT64_MIN;
}
FOVEA_DEVICE int64_t truncated(float v) { return truncated(static_cast<double>(v)); }
FOVEA_DEVICE int64_t truncated(int64_t v) { return v; }

template <class T>
FOVEA_DEVICE T load(DType t, const void* from, int64_t at) {
  switch (t) {
    case DType::f32: return static_cast<T>(static_cast<const float*>(from)[at]);
    case DType::f64: return static_cast<T>(static_cast<const double*>(from)[at]);
    case DType::bf16: return static_cast<T>(widened(static_cast<const bfloat16*>(from)[at]));
    case DType::f16: return static_cast<T>(widened(static_cast<const float16*>(from)[at]));
    case DType::i64: return static_cast<T>(static_cast<const int64_t*>(from)[at]);
    case DType::i32: return static_cast<T>(static_cast<const int32_t*>(from)[at]);
    case DType::i8: return static_cast<T>(static_cast<const int8_t*>(from)[at]);
    case DType::u8: return static_cast<T>(static_cast<const uint8_t*>(from)[at]);
    case DType::boolean: return static_cast<T>(static_cast<const uint8_t*>(from)[at] != 0);
    case DType::none: break;
  }
  return T{};
}

/// Real numbers become integers by truncation, anything becomes bool by `!= 0`.
template <class T>
FOVEA_DEVICE void store(DType t, T v, void* to, int64_t at) {
  switch (t) {
    case DType::f32: static_cast<float*>(to)[at] = static_cast<float>(v); break;
    case DType::f64: static_cast<double*>(to)[at] = static_cast<double>(v); break;
    case DType::bf16: static_cast<bfloat16*>(to)[at] = bfloat16_of(static_cast<float>(v)); break;
    case DType::f16: static_cast<float16*>(to)[at] = float16_of(static_cast<float>(v)); break;
    case DType::i64: static_cast<int64_t*>(to)[at] = truncated(v); break;
    case DType::i32: static_cast<int32_t*>(to)[at] = static_cast<int32_t>(truncated(v)); break;
    case DType::i8: static_cast<int8_t*>(to)[at] = static_cast<int8_t>(truncated(v)); break;
    case DType::u8: static_cast<uint8_t*>(to)[at] = static_cast<uint8_t>(truncated(v)); break;
    case DType::boolean: static_cast<uint8_t*>(to)[at] = v != 0; break;
    case DType::none: break;
  }
}

template <class T>
FOVEA_DEVICE T load(const Elements& x, int64_t at) { return load<T>(x.dtype, x.data, at); }
template <class T>
FOVEA_DEVICE void store(const Elements& y, int64_t at, T v) { store(y.dtype, v, y.data, at); }

}  // namespace fovea::cuda
