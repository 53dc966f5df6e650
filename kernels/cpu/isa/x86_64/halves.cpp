// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/halves.cpp — dot products with weights in f16, widened by F16C or AVX-512.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#pragma GCC diagnostic ignored "-Wuninitialized"   // as in avx512_vnni.cpp
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx512f,avx512bw,avx512vl,fma")
namespace avx512_half {

template <int Outputs>
static void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  __m512 sum[Outputs];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sum[o] = _mm512_setzero_ps();
  const auto add = [&](int64_t i, __mmask16 some) __attribute__((always_inline)) {
    const __m512 v = _mm512_maskz_loadu_ps(some, x + i);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) {
      const __m256i halves = _mm256_maskz_loadu_epi16(some, w + o * depth + i);
      sum[o] = _mm512_fmadd_ps(v, _mm512_maskz_cvtph_ps(0xffff, halves), sum[o]);
    }
  };
  int64_t i = 0;
  for (; i + 16 <= depth; i += 16) add(i, 0xffff);
  if (i < depth) add(i, static_cast<__mmask16>((1 << (depth - i)) - 1));
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) y[o] = _mm512_reduce_add_ps(sum[o]);
}

}  // namespace avx512_half
FOVEA_TARGET_END

FOVEA_TARGET("avx2,fma,f16c")
namespace avx2_half {

static inline __attribute__((always_inline)) __m256 widened(const uint16_t* w) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
}
static inline __attribute__((always_inline)) float total(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

template <int Outputs>
static void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  constexpr int64_t kLanes = 8;
  __m256 sum[Outputs];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sum[o] = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) {
    const __m256 v = _mm256_loadu_ps(x + i);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) sum[o] = _mm256_fmadd_ps(v, widened(w + o * depth + i), sum[o]);
  }
  if (i < depth) {
    float v[kLanes] = {};
    for (int64_t k = i; k < depth; ++k) v[k - i] = x[k];
    for (int o = 0; o < Outputs; ++o) {
      uint16_t halves[kLanes] = {};
      for (int64_t k = i; k < depth; ++k) halves[k - i] = w[o * depth + k];
      sum[o] = _mm256_fmadd_ps(_mm256_loadu_ps(v), widened(halves), sum[o]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) y[o] = total(sum[o]);
}

}  // namespace avx2_half
FOVEA_TARGET_END

constinit const HalfDots halves_avx512{avx512_half::dots<HalfDots::kMany>, avx512_half::dots<1>};
constinit const HalfDots halves_avx2{avx2_half::dots<HalfDots::kMany>, avx2_half::dots<1>};

}  // namespace fovea::kernels::cpu
