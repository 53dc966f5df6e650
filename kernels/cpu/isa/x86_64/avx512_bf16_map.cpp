// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_bf16_map.cpp — functions of sums with as many bits as bf16 and bytes show.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16 {
#include "kernels/cpu/simd/bf16.inc"

FOVEA_INLINE __m512 all(float v) { return _mm512_set1_ps(v); }

// The polynomials are minimax fits within 2^-17; results have 8 bits.
FOVEA_INLINE __m512 power_of_two(__m512 x) {
  constexpr int kNearest = 8;                      // quietly
  const __m512 n = _mm512_maskz_roundscale_ps(kAll, x, kNearest), r = _mm512_maskz_reduce_ps(kAll, x, kNearest);
  __m512 p = r * 9.570101947e-03f + 5.591786159e-02f;
  p = p * r + 2.402474484e-01f;
  p = p * r + 6.931218146e-01f;
  p = p * r + 9.999992614e-01f;
  return _mm512_maskz_scalef_ps(kAll, p, n);
}
// A division takes less of the multipliers, which are busy, than a reciprocal that is improved.
FOVEA_INLINE __m512 gated(__m512 x, float factor) { return x / (1.f + power_of_two(x * factor)); }
// max(x, 0) - u 2^(-1 - u q(u)) with u = min(|x|, 6.5), as loops do in f32.
FOVEA_INLINE __m512 gelu(__m512 x) {
  const __m512 u = _mm512_maskz_min_ps(kAll, all(6.5f), _mm512_abs_ps(x));
  __m512 q = u * 1.760323302e-06f - 6.000197529e-05f;
  q = q * u + 9.170440613e-04f;
  q = q * u - 8.451072457e-03f;
  q = q * u + 5.383552794e-02f;
  q = q * u + 4.585978899e-01f;
  q = q * u + 1.151194108e+00f;
  return _mm512_maskz_max_ps(kAll, _mm512_setzero_ps(), x) - u * power_of_two(-1.f - u * q);
}

template <class F>
FOVEA_INLINE void each(const Bf16Map& m, F f) {
  for (int64_t r = 0; r < m.rows; ++r) {
    const float* const x = m.x + r * m.x_step;
    bfloat16* const y = m.y + r * m.y_step;
    int64_t c = 0;
    for (; c + 2 * kLanes <= m.columns; c += 2 * kLanes) {
      const __m512 low = f(_mm512_loadu_ps(x + c)), high = f(_mm512_loadu_ps(x + c + kLanes));
      _mm512_storeu_si512(y + c, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
    for (; c + kLanes <= m.columns; c += kLanes)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + c), narrowed(f(_mm512_loadu_ps(x + c))));
    const __mmask16 rest = first(m.columns - c);
    if (rest) _mm256_mask_storeu_epi16(y + c, rest, narrowed(f(_mm512_maskz_loadu_ps(rest, x + c))));
  }
}

template <class F>
FOVEA_INLINE void each(const ByteMap& m, F f) {
  const __m512 inverse = all(m.inverse), zero = all(m.zero), most = all(255.f);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = 0; c < m.columns; c += kLanes) {
      const __mmask16 some = first(m.columns - c);
      const __m512 v = f(_mm512_maskz_loadu_ps(some, m.x + r * m.x_step + c)) * inverse + zero;
      const __m512i bytes = _mm512_maskz_cvtps_epi32(kAll, clip(v, _mm512_setzero_ps(), most));
      _mm512_mask_cvtepi32_storeu_epi8(m.y + r * m.y_step + c, some, bytes);
    }
}

template <class Map>
FOVEA_INLINE bool smoothly_mapped(const Map& m) {
  switch (m.e.act) {
    case Unary::silu: each(m, [](__m512 x) { return gated(x, -1.44269504f); }); return true;
    case Unary::quick_gelu: each(m, [](__m512 x) { return gated(x, -1.702f * 1.44269504f); }); return true;
    case Unary::gelu: each(m, [](__m512 x) { return gelu(x); }); return true;
    default: return false;
  }
}
static bool mapped(const ByteMap& m) { return smoothly_mapped(m); }
static bool mapped(const Bf16Map& m) {
  switch (m.e.act) {
    case Unary::identity: each(m, [](__m512 x) { return x; }); return true;
    case Unary::hard_sigmoid: each(m, [](__m512 x) { return hard_sigmoid(x); }); return true;
    case Unary::hard_swish: each(m, [](__m512 x) { return hard_swish(x); }); return true;
    default: return smoothly_mapped(m);
  }
}
#undef FOVEA_INLINE

}  // namespace avx512_bf16
FOVEA_TARGET_END

bool bf16_map(const Bf16Map& m) { return avx512_bf16::mapped(m); }
bool bf16_map_to_bytes(const ByteMap& m) { return avx512_bf16::mapped(m); }

}  // namespace fovea::kernels::cpu
