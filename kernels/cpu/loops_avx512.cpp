// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/loops_avx512.cpp — the inner loops for AVX-512 machines.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/loops.h"

namespace fovea::kernels::cpu {

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
#define FOVEA_LANES 16
// the plain form warns in GCC 12: it starts from an undefined vector
#define FOVEA_MIN(a, b) _mm512_maskz_min_ps(0xffff, a, b)
#define FOVEA_MAX(a, b) _mm512_maskz_max_ps(0xffff, a, b)
#define FOVEA_PART(n) static_cast<__mmask16>((1u << (n)) - 1)
#define FOVEA_LOAD_PART(p, n) _mm512_maskz_loadu_ps(FOVEA_PART(n), p)
#define FOVEA_STORE_PART(p, n, v) _mm512_mask_storeu_ps(p, FOVEA_PART(n), v)
// a vector of 16-bit elements at once, where the general form goes by halves
#define FOVEA_WIDEN(h) _mm512_maskz_cvtepu16_epi32(0xffff, reinterpret_cast<__m256i>(h))
#define FOVEA_NARROW(w) _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(w))
#define FOVEA_WIDEN_BYTES(b) _mm512_maskz_cvtepu8_epi32(0xffff, reinterpret_cast<__m128i>(b))
#define FOVEA_NARROW_TO_BYTES(v) _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(v))
#define FOVEA_LOAD_PART_HALVES(p, n) _mm256_maskz_loadu_epi16(FOVEA_PART(n), p)
#define FOVEA_STORE_PART_HALVES(p, n, v) _mm256_mask_storeu_epi16(p, FOVEA_PART(n), reinterpret_cast<__m256i>(v))
#define FOVEA_LOAD_PART_BYTES(p, n) _mm_maskz_loadu_epi8(FOVEA_PART(n), p)
#define FOVEA_STORE_PART_BYTES(p, n, v) _mm_mask_storeu_epi8(p, FOVEA_PART(n), reinterpret_cast<__m128i>(v))
#include "kernels/cpu/simd/loops.inc"
}  // namespace avx512
#pragma GCC pop_options

extern const Loops loops_avx512;
constinit const Loops loops_avx512 = avx512::make_table("avx512", supported);

}  // namespace fovea::kernels::cpu
