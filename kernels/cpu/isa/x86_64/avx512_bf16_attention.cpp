// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_bf16_attention.cpp — operands of attention packed in pairs, the softmax of its scores,
// its results rounded.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16_attention {
#include "kernels/cpu/simd/avx512.inc"
#include "kernels/cpu/simd/vector.inc"
#include "kernels/cpu/simd/interleave.inc"

constexpr float kLog2 = 1.44269504f;               // e^x = 2^(x / ln 2)
constexpr int kTogether = 8;                       // rows whose largest scores and sums are folded at once

constexpr __mmask32 kAll = ~0u;
FOVEA_INLINE __mmask32 first(int64_t n) { return n >= 32 ? kAll : n <= 0 ? 0 : (1u << n) - 1; }
FOVEA_INLINE Halves load_halves(const bfloat16* p, __mmask32 some) {
  return reinterpret_cast<Halves>(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(some), p));
}
FOVEA_INLINE void store_rounded(bfloat16* p, Floats v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// A square of keys by pairs at a time. Sizes are read before any store, which may be to anything.
void pack_keys(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to) {
  const int64_t panels = p.panels(), lines = p.lines(), columns = p.columns, panel_width = p.panel;
  for (int64_t panel = 0; panel < panels; ++panel, to += lines * panel_width) {
    const int64_t width = panel + 1 < panels ? panel_width : p.last_width();
    for (int64_t at = 0; at < width; at += kLanes)
      for (int64_t pair = 0; pair < lines; pair += kLanes) {
        const int64_t key = panel * panel_width + at, keys = columns - key, down = lines - pair;
        const bfloat16* const from = k + key * row_step + 2 * pair;
        const __mmask32 some = first(depth - 2 * pair);
        Pair* const y = to + pair * width + at;
        Floats v[kLanes];
        if (keys >= kLanes && some == kAll) {
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i) v[i] = reinterpret_cast<Floats>(_mm512_loadu_si512(from + i * row_step));
        } else {
          for (int i = 0; i < kLanes; ++i)
            v[i] = i < keys ? reinterpret_cast<Floats>(_mm512_maskz_loadu_epi16(some, from + i * row_step)) : Floats{};
        }
        turn_square(v);
        if (down >= kLanes) {
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i) _mm512_storeu_ps(y + i * width, v[i]);
        } else {
          for (int i = 0; i < down; ++i) _mm512_storeu_ps(y + i * width, v[i]);
        }
      }
  }
}

// Two rows at a time, a vector of their columns after the other.
void pack_values(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to) {
  const int64_t panels = p.panels(), lines = p.lines(), columns = p.columns, panel_width = p.panel;
  for (int64_t panel = 0; panel < panels; ++panel, to += lines * panel_width) {
    const int64_t width = panel + 1 < panels ? panel_width : p.last_width();
    for (int64_t at = 0; at < width; at += kLanes) {
      const int64_t column = panel * panel_width + at;
      const __mmask32 some = first(columns - column);
      const bfloat16* from = v + column;
      Pair* y = to + at;
      for (int64_t key = 0; key < 2 * lines; key += 2, from += 2 * row_step, y += width) {
        const auto low = reinterpret_cast<Words>(FOVEA_WIDEN(load_halves(from, key < keys ? some : 0))),
                   high = reinterpret_cast<Words>(FOVEA_WIDEN(load_halves(from + row_step, key + 1 < keys ? some : 0)));
        _mm512_storeu_si512(y, reinterpret_cast<__m512i>(low | high << 16));
      }
    }
  }
}

enum class Mask : uint8_t { none, added, allowed };

// A vector of scores, some of which are seen.
template <Mask kMask>
FOVEA_INLINE Floats score(const float* x, const uint8_t* mask, float scale, __mmask32 some) {
  auto see = static_cast<__mmask16>(some);
  Floats s = load(x) * scale;
  if constexpr (kMask == Mask::added) s += widened(load_halves(reinterpret_cast<const bfloat16*>(mask), some));
  if constexpr (kMask == Mask::allowed) {
    const __m128i bytes = _mm_maskz_loadu_epi8(see, mask);
    see = _mm_mask_test_epi8_mask(see, bytes, bytes);
  }
  return _mm512_mask_blend_ps(see, splat(-__builtin_inff()), s);
}

// 2^x, within 3e-6: the fraction is between 0 and 1, and what lies below a float's range becomes zero.
FOVEA_INLINE Floats power(Floats x) {
  const Floats r = _mm512_maskz_reduce_ps(0xffff, x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Floats p = r * 1.342668429e-02f + 5.224247419e-02f;
  p = p * r + 2.412802048e-01f;
  p = p * r + 6.930448449e-01f;
  p = p * r + 1.f;
  return _mm512_maskz_scalef_ps(0xffff, p, x);
}

// One for each of a few rows. What reads those behind them waits for a masked store, but not for a narrow one.
template <int Rows>
FOVEA_INLINE void store_each(float* p, Floats v) {
  if constexpr (Rows == kTogether) _mm256_storeu_ps(p, _mm512_maskz_extractf32x8_ps(0xff, v, 0));
  else *p = v[0];
}
// Scores of a few rows become what the softmax takes; of each row the largest is kept in its share.
template <Mask kMask, int Rows>
FOVEA_INLINE void mask_scores(const Bf16Weights& t, int64_t row) {
  float* const x = t.scores + row * t.step;
  const auto* const mask =
      (kMask == Mask::added ? reinterpret_cast<const uint8_t*>(t.added) : t.allowed) + row * t.mask_step;
  const int64_t step = t.step, mask_step = t.mask_step, size = kMask == Mask::added ? 2 : 1;
  const float scale = t.scale;
  Floats most[kTogether];
#pragma GCC unroll 8
  for (int r = 0; r < kTogether; ++r) most[r] = splat(-__builtin_inff());
  const auto vector = [&](int64_t i, const auto& some) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Floats s = score<kMask>(x + r * step + i, mask + r * mask_step + i * size, scale, some(r));
      store(x + r * step + i, s);
      most[r] = FOVEA_MAX(most[r], s);
    }
  };
  const int64_t every = t.seen_by(row), any = t.seen_by(row + Rows - 1);
  int64_t i = 0;
  for (; i + kLanes <= every; i += kLanes) vector(i, [](int) { return kAll; });
  for (; i < any; i += kLanes) {
    if (const __mmask32 some = first(any - i); every == any) vector(i, [=](int) { return some; });
    else vector(i, [&](int r) { return first(t.seen_by(row + r) - i); });
  }
  const Floats largest = fold_each(most, [](Floats a, Floats b) { return FOVEA_MAX(a, b); });
  store_each<Rows>(t.shares + row, largest == -__builtin_inff() ? Floats{} : largest);
}

// Scores of a few rows become weights.
template <int Rows>
FOVEA_INLINE void weigh(const Bf16Weights& t, int64_t row) {
  const int64_t step = t.step, seen = t.seen_by(row + Rows - 1);
  const float* const x = t.scores + row * step;
  bfloat16* const y = t.weights + row * step;
  Floats sum[kTogether];
#pragma GCC unroll 8
  for (int r = 0; r < kTogether; ++r) sum[r] = Floats{};
  const auto weight = [&](int r, int64_t i) {
    const Floats w = power((load(x + r * step + i) - t.shares[row + r]) * kLog2);
    sum[r] += w;
    return w;
  };
  int64_t i = 0;
  for (; i + kLanes < seen; i += 2 * kLanes)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Floats low = weight(r, i), high = weight(r, i + kLanes);
      _mm512_storeu_si512(y + r * step + i, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
  for (; i < seen; i += kLanes)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) store_rounded(y + r * step + i, weight(r, i));
  for (; i < t.keys; i += kLanes)
    for (int r = 0; r < Rows; ++r) store_rounded(y + r * step + i, Floats{});
  const Floats sums = fold_each(sum, [](Floats a, Floats b) { return a + b; });
  store_each<Rows>(t.shares + row, sums == 0.f ? splat(1.f) : 1.f / sums);
}

template <Mask kMask>
FOVEA_INLINE void mask_all(const Bf16Weights& t) {
  int64_t row = 0;
  for (; row + kTogether <= t.rows; row += kTogether) mask_scores<kMask, kTogether>(t, row);
  for (; row < t.rows; ++row) mask_scores<kMask, 1>(t, row);
}
// All rows' largest scores first: what is folded for some is not waited for by the others.
void weights(const Bf16Weights& t) {
  if (t.added) mask_all<Mask::added>(t);
  else if (t.allowed) mask_all<Mask::allowed>(t);
  else mask_all<Mask::none>(t);
  int64_t row = 0;
  for (; row + kTogether <= t.rows; row += kTogether) weigh<kTogether>(t, row);
  for (; row < t.rows; ++row) weigh<1>(t, row);
}

void share(const Bf16Shared& t) {
  constexpr int kWide = 2 * kLanes;
  for (int64_t r = 0; r < t.rows; ++r) {
    const float* const x = t.sums + r * t.sums_step;
    bfloat16* const y = t.y + r * t.y_step;
    const Floats gain = splat(t.shares[r]);
    for (int64_t c = 0; c < t.columns; c += kWide) {
      const auto v = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(load(x + c + kLanes) * gain, load(x + c) * gain));
      if (const __mmask32 some = first(t.columns - c); some == kAll) _mm512_storeu_si512(y + c, v);
      else _mm512_mask_storeu_epi16(y + c, some, v);
    }
  }
}

}  // namespace avx512_bf16_attention
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
