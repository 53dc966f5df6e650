// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_bf16_depthwise.cpp — depthwise convolutions of bf16 by pairs of columns, as AVX512_BF16
// multiplies them.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {
namespace {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16_depthwise {
#include "kernels/cpu/simd/bf16.inc"
#include "kernels/cpu/simd/depthwise_pairs.inc"

FOVEA_INLINE void write(bfloat16* y, uint32_t some, const Channels<1>& c) {
  if (some == 0xffff) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), narrowed(c.v[0]));
  else _mm256_mask_storeu_epi16(y, static_cast<__mmask16>(some), narrowed(c.v[0]));
}
FOVEA_INLINE void write(bfloat16* y, uint32_t some, const Channels<2>& c) {
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  const __m512i all = _mm512_maskz_permutexvar_epi64(
      0xff, order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(c.v[1], c.v[0])));
  if (some == ~uint32_t{0}) _mm512_storeu_si512(y, all);
  else _mm512_mask_storeu_epi16(y, some, all);
}

struct Halves {
  template <int Vectors>
  using Sums = Channels<Vectors>;
  FOVEA_INLINE __m512i halves_of(const bfloat16* p, uint32_t some) { return _mm512_maskz_loadu_epi16(some, p); }
  FOVEA_INLINE __m512 times_pairs(__m512 sum, __m512i a, __m512i b) {
    return avx512_bf16_depthwise::times_pairs(sum, a, b);
  }
  template <int Vectors>
  FOVEA_INLINE Channels<Vectors> start(const Bf16DepthwiseTile& t, int64_t c, uint32_t some, Channels<Vectors> none) {
    return t.bias ? interleaved(t.bias + c, some, none) : none;
  }
  template <int Pixels, int Vectors>
  FOVEA_INLINE void finish(const Bf16DepthwiseTile& t, Channels<Vectors> (&sum)[Pixels], int64_t c, uint32_t some) {
    const __m512 lo = _mm512_set1_ps(t.lo), hi = _mm512_set1_ps(t.hi);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      if (t.residual) {
        __m512i values[Vectors];
        paired(_mm512_setzero_si512(), halves_of(t.residual + p * t.residual_step + c, some), values);
        for (int v = 0; v < Vectors; ++v) sum[p].v[v] = _mm512_add_ps(sum[p].v[v], _mm512_castsi512_ps(values[v]));
      }
      for (int v = 0; v < Vectors; ++v)
        sum[p].v[v] = t.hard_swish ? hard_swish(sum[p].v[v]) : clip(sum[p].v[v], lo, hi);
      if (t.wide) write(t.wide + p * t.y_step + c, some, sum[p]);
      else write(t.y + p * t.y_step + c, some, sum[p]);
    }
  }
};
#undef FOVEA_INLINE

}  // namespace avx512_bf16_depthwise
FOVEA_TARGET_END

}  // namespace

void bf16_depthwise(const Bf16DepthwiseTile& t) { avx512_bf16_depthwise::tile<avx512_bf16_depthwise::Halves>(t); }

}  // namespace fovea::kernels::cpu
