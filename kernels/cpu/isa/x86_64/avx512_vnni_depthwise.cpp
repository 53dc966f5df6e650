// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_vnni_depthwise.cpp — depthwise convolutions of u8 by pairs of columns, widened to 16
// bits as AVX-512 VNNI multiplies them: sums are exact.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
// GCC 12 warns of vectors that its own intrinsics begin with, all of whose parts are then written.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {
namespace {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace avx512vnni {
#include "kernels/cpu/simd/lanes.inc"
#include "kernels/cpu/simd/depthwise_pairs.inc"

// To nearest; what is below `lo` becomes that, what is beyond 255 should be less before.
FOVEA_INLINE void write_rounded(uint8_t* y, uint32_t some, const Channels<1>& c, int lo) {
  const __m512i q = _mm512_max_epi32(_mm512_cvtps_epi32(c.v[0]), _mm512_set1_epi32(lo));
  _mm_mask_storeu_epi8(y, static_cast<__mmask16>(some), _mm512_cvtepi32_epi8(q));
}
// Narrowing goes by parts of 128 bits, as pairing did, and so restores the order.
FOVEA_INLINE void write_rounded(uint8_t* y, uint32_t some, const Channels<2>& c, int lo) {
  const __m512i q = _mm512_max_epi16(_mm512_packs_epi32(_mm512_cvtps_epi32(c.v[0]), _mm512_cvtps_epi32(c.v[1])),
                                     _mm512_set1_epi16(static_cast<int16_t>(lo)));
  if (some == ~uint32_t{0}) _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_cvtepi16_epi8(q));
  else _mm256_mask_storeu_epi8(y, some, _mm512_cvtepi16_epi8(q));
}

struct Bytes {
  template <int Vectors>
  struct Sums {
    __m512i v[Vectors];
  };
  FOVEA_INLINE __m512i halves_of(const uint8_t* p, uint32_t some) {
    return _mm512_cvtepu8_epi16(some == ~uint32_t{0} ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                                     : _mm256_maskz_loadu_epi8(some, p));
  }
  FOVEA_INLINE __m512i times_pairs(__m512i sum, __m512i a, __m512i b) { return _mm512_dpwssd_epi32(sum, a, b); }
  template <class Tile, int Vectors>
  FOVEA_INLINE Sums<Vectors> start(const Tile&, int64_t, uint32_t, Sums<Vectors> none) {
    return none;
  }

  // write(pixel, map(v)), v = sum * gain + shift
  template <int Pixels, int Vectors, class Map, class Write>
  FOVEA_INLINE void each(const Sums<Vectors> (&sum)[Pixels], const Channels<Vectors>& gain,
                         const Channels<Vectors>& shift, const Map& map, const Write& write) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      Channels<Vectors> mapped;
      for (int v = 0; v < Vectors; ++v)
        mapped.v[v] = map(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p].v[v]), gain.v[v], shift.v[v]));
      write(p, mapped);
    }
  }
  template <class Out, int Pixels, int Vectors>
  FOVEA_INLINE void finish_wide(const DepthwiseTileOf<uint8_t, Out>& t, float* y,
                                const Sums<Vectors> (&sum)[Pixels], int64_t c, uint32_t some) {
    const __m512 lo = _mm512_set1_ps(t.lo), hi = _mm512_set1_ps(t.hi);
    each(sum, interleaved(t.scale + c, some, Channels<Vectors>{}), interleaved(t.bias + c, some, Channels<Vectors>{}),
         [&](__m512 v) { return t.hard_swish ? hard_swish(v) : clip(v, lo, hi); },
         [&](int p, const Channels<Vectors>& v) { write(y + p * t.y_step + c, some, v); });
  }
  template <int Pixels, int Vectors>
  FOVEA_INLINE void finish(const DepthwiseTileOf<uint8_t, float>& t, const Sums<Vectors> (&sum)[Pixels],
                           int64_t c, uint32_t some) {
    finish_wide(t, t.y, sum, c, some);
  }
  template <int Pixels, int Vectors>
  FOVEA_INLINE void finish(const DepthwiseTileOf<uint8_t>& t, const Sums<Vectors> (&sum)[Pixels],
                           int64_t c, uint32_t some) {
    if (t.wide) return finish_wide(t, t.wide, sum, c, some);
    Channels<Vectors> gain = interleaved(t.scale + c, some, Channels<Vectors>{}),
                      shift = interleaved(t.bias + c, some, Channels<Vectors>{});
    const __m512 inverse = _mm512_set1_ps(t.inverse), zero = _mm512_set1_ps(t.zero);
    if (t.hard_swish) {
      for (__m512& v : shift.v) v = _mm512_add_ps(v, _mm512_set1_ps(3.f));
      const __m512 most = _mm512_set1_ps(255.f);
      const __m512 factor = _mm512_set1_ps(t.inverse / 6), less = _mm512_set1_ps(t.inverse / -2);
      each(sum, gain, shift,
           [=](__m512 v) { return _mm512_maskz_min_ps(kAll, most, scaled_hard_swish(v, factor, less, zero)); },
           [&](int p, const Channels<Vectors>& v) { write_rounded(t.y + p * t.y_step + c, some, v, 0); });
      return;
    }
    // Rounding keeps order: bounds are rounded themselves.
    const float lo = t.lo * t.inverse + t.zero, hi = t.hi * t.inverse + t.zero;
    const int least = lo > 0.f ? lo < 255.f ? _mm_cvtss_si32(_mm_set_ss(lo)) : 255 : 0;
    const __m512 most = _mm512_set1_ps(hi < 255.f ? hi : 255.f);
    for (int v = 0; v < Vectors; ++v) {
      gain.v[v] = _mm512_mul_ps(gain.v[v], inverse);
      shift.v[v] = _mm512_fmadd_ps(shift.v[v], inverse, zero);
    }
    each(sum, gain, shift, [=](__m512 v) { return _mm512_maskz_min_ps(kAll, most, v); },
         [&](int p, const Channels<Vectors>& v) { write_rounded(t.y + p * t.y_step + c, some, v, least); });
  }
};
#undef FOVEA_INLINE

}  // namespace avx512vnni
FOVEA_TARGET_END

}  // namespace

void vnni_depthwise(const DepthwiseTileOf<uint8_t>& t) { avx512vnni::tile<avx512vnni::Bytes>(t); }
void vnni_depthwise_to_f32(const DepthwiseTileOf<uint8_t, float>& t) { avx512vnni::tile<avx512vnni::Bytes>(t); }

}  // namespace fovea::kernels::cpu
