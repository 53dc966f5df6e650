// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/bf16_depthwise_pairs.cpp — a few adjacent results of one image row: columns are interleaved by two, as
// AVX512_BF16 multiplies them.
// Everything of the standard library is included before the target pragma, as in bf16_avx512.cpp.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/bf16_depthwise.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kTogether = DepthwisePairs::kTogether;
int64_t taps_of(const ConvShape& s) { return (s.kernel[2] + 1) / 2; }
int64_t starts_of(const ConvShape& s) { return s.stride[2] == 1 ? 2 : 1; }

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16 {
#include "kernels/cpu/simd/bf16.inc"

// 32 channels are interleaved by halves of 128 bits: the sums of every other four of them, then of those between. Half
// as many keep their order.
template <int Vectors>
struct Channels {
  __m512 v[Vectors];
};
FOVEA_INLINE Channels<1> interleaved(const float* p, uint32_t some, Channels<1>) {
  return {{_mm512_maskz_loadu_ps(static_cast<__mmask16>(some), p)}};
}
FOVEA_INLINE Channels<2> interleaved(const float* p, uint32_t some, Channels<2>) {
  const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some), p),
               high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some >> kLanes), p + kLanes);
  return {{_mm512_maskz_shuffle_f32x4(kAll, low, high, 0x88), _mm512_maskz_shuffle_f32x4(kAll, low, high, 0xdd)}};
}
FOVEA_INLINE void write(float* y, uint32_t some, const Channels<1>& c) {
  _mm512_mask_storeu_ps(y, static_cast<__mmask16>(some), c.v[0]);
}
FOVEA_INLINE void write(float* y, uint32_t some, const Channels<2>& c) {
  const __m512 low = _mm512_maskz_shuffle_f32x4(kAll, c.v[0], c.v[1], 0x44),
               high = _mm512_maskz_shuffle_f32x4(kAll, c.v[0], c.v[1], 0xee);
  _mm512_mask_storeu_ps(y, static_cast<__mmask16>(some), _mm512_maskz_shuffle_f32x4(kAll, low, low, 0xd8));
  _mm512_mask_storeu_ps(y + kLanes, static_cast<__mmask16>(some >> kLanes),
                        _mm512_maskz_shuffle_f32x4(kAll, high, high, 0xd8));
}
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
// Two columns as pairs: the first in the low halves.
FOVEA_INLINE void paired(__m512i a, __m512i b, __m512i (&to)[1]) {
  const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  to[0] = _mm512_permutex2var_epi16(a, order, b);
}
FOVEA_INLINE void paired(__m512i a, __m512i b, __m512i (&to)[2]) {
  to[0] = _mm512_unpacklo_epi16(a, b);
  to[1] = _mm512_unpackhi_epi16(a, b);
}
FOVEA_INLINE __m512i halves_of(const bfloat16* p, uint32_t some) { return _mm512_maskz_loadu_epi16(some, p); }

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

// What the last pair of columns has beyond a window meets a weight of zero.
template <int Kernel, int Stride, int Pixels, int Vectors>
FOVEA_INLINE const Pair* some_channels(const Bf16DepthwiseTile& t, const Pair* w, int64_t c, uint32_t some) {
  constexpr int kColumns = (Pixels - 1) * Stride + Kernel, kTaps = (Kernel + 1) / 2, kStarts = Stride == 1 ? 2 : 1;
  constexpr int kRow = kStarts * kTaps * Vectors;
  Channels<Vectors> sum[Pixels];
  const Channels<Vectors> start = t.bias ? interleaved(t.bias + c, some, Channels<Vectors>{}) : Channels<Vectors>{};
  for (int p = 0; p < Pixels; ++p) sum[p] = start;
  const Pair* at = w + t.first_row * kRow * kLanes;
  for (int row = t.first_row; row < t.last_row; ++row, at += kRow * kLanes) {
    const bfloat16* const* const columns = t.x[row] + t.x_at;
    __m512i weights[kRow];
    for (int i = 0; i < kRow; ++i) weights[i] = _mm512_loadu_si512(at + i * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kColumns; i += 2) {
      __m512i x[Vectors];
      paired(halves_of(columns[i] + c, some),
             i + 1 < kColumns ? halves_of(columns[i + 1] + c, some) : _mm512_setzero_si512(), x);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) {
        const int first_column = p * Stride, second = first_column % 2, tap = (i - (first_column - second)) / 2;
        if (i < first_column - second || tap >= kTaps) continue;
        for (int v = 0; v < Vectors; ++v)
          sum[p].v[v] = times_pairs(sum[p].v[v], x[v], weights[(second * kTaps + tap) * Vectors + v]);
      }
    }
  }
  finish<Pixels, Vectors>(t, sum, c, some);
  return w + t.w_step;
}

template <int Kernel, int Stride, int Pixels>
static void pixels(const Bf16DepthwiseTile& t) {
  const Pair* w = reinterpret_cast<const Pair*>(t.w);
  int64_t c = 0;
  for (; c + kTogether <= t.channels; c += kTogether)
    w = some_channels<Kernel, Stride, Pixels, 2>(t, w, c, ~uint32_t{0});
  const int64_t left = t.channels - c;
  const uint32_t some = (uint32_t{1} << left) - 1;
  if (left > kLanes) some_channels<Kernel, Stride, Pixels, 2>(t, w, c, some);
  else if (left > 0) some_channels<Kernel, Stride, Pixels, 1>(t, w, c, some);
}
template <int Kernel, int Stride>
FOVEA_INLINE void tile_of(const Bf16DepthwiseTile& t) {
  switch (t.pixels) {
    case 7: return pixels<Kernel, Stride, 7>(t);
    case 4: return pixels<Kernel, Stride, 4>(t);
    case 2: return pixels<Kernel, Stride, 2>(t);
    default: return pixels<Kernel, Stride, 1>(t);
  }
}
static void tile(const Bf16DepthwiseTile& t) {
  switch (t.kernel * 10 + t.stride) {
    case 31: return tile_of<3, 1>(t);
    case 32: return tile_of<3, 2>(t);
    case 51: return tile_of<5, 1>(t);
    case 52: return tile_of<5, 2>(t);
    case 71: return tile_of<7, 1>(t);
    case 72: return tile_of<7, 2>(t);
    default: return;                               // possible() said no
  }
}
#undef FOVEA_INLINE

}  // namespace avx512_bf16
#pragma GCC pop_options

}  // namespace

bool DepthwisePairs::possible(const ConvShape& s) {
  const int64_t k = s.kernel[2];
  return bf16_set() && (k == 3 || k == 5 || k == 7) && s.stride[2] <= 2 && s.dilation[2] == 1;
}
int64_t DepthwisePairs::channel_pairs(const ConvShape& s) { return s.kernel[1] * starts_of(s) * taps_of(s); }
int64_t DepthwisePairs::pairs(const ConvShape& s) {
  return (s.channels + kTogether / 2 - 1) / (kTogether / 2) * (kTogether / 2) * channel_pairs(s);
}

void DepthwisePairs::pack(const ConvShape& s, const bfloat16* w, int64_t channel, int64_t down, int64_t across,
                          Pair* to) {
  constexpr int64_t kHalf = kTogether / 2;
  for (int64_t from = 0; from < s.channels; from += kTogether) {
    const int64_t left = std::min(kTogether, s.channels - from), halves = left > kHalf ? 2 : 1;
    const auto one = [&](int64_t c, int64_t y, int64_t x) -> Pair {
      const bool inside = c < left && x >= 0 && x < s.kernel[2];
      return inside ? w[(from + c) * channel + y * down + x * across].bits : 0;
    };
    for (int64_t y = 0; y < s.kernel[1]; ++y)
      for (int64_t start = 0; start < starts_of(s); ++start)
        for (int64_t x = -start; x < s.kernel[2]; x += 2)
          for (int64_t half = 0; half < halves; ++half)
            for (int64_t i = 0; i < kHalf; ++i) {
              const int64_t c = halves == 1 ? i : i / 4 * 8 + half * 4 + i % 4;
              *to++ = one(c, y, x) | one(c, y, x + 1) << 16;
            }
  }
}

void DepthwisePairs::tile(const Bf16DepthwiseTile& t) { avx512_bf16::tile(t); }

}  // namespace fovea::kernels::cpu
