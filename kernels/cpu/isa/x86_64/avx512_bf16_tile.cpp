// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_bf16_tile.cpp — the register tile of bf16 products: pairs multiplied and summed in f32
// by AVX512_BF16.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16 {

#include "kernels/cpu/simd/bf16.inc"

// f(sum, row, vector, whole) of all sums; only the last vector of columns may be filled in part.
template <bool Whole, int Rows, int Wide, class F>
FOVEA_INLINE void each_sum(__m512 (&sum)[Rows][Wide], F f) {
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Wide; ++v) f(sum[r][v], r, v * kLanes, Whole || v + 1 < Wide);
}
template <bool Whole, int Rows, int Wide>
FOVEA_INLINE void finish_sums(const Bf16Tile& t, __m512 (&sum)[Rows][Wide]) {
  const __mmask16 last = first(t.columns - (Wide - 1) * kLanes);
  if (t.residual)
    each_sum<Whole>(sum, [&](__m512& s, int r, int column, bool whole) {
      const bfloat16* const from = t.residual + r * t.residual_step + column;
      s = _mm512_add_ps(s, widened(whole ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))
                                         : _mm256_maskz_loadu_epi16(last, from)));
    });
  if (t.hard_swish) {
    each_sum<Whole>(sum, [](__m512& s, int, int, bool) { s = hard_swish(s); });
  } else {
    const __m512 lo = _mm512_set1_ps(t.lo), hi = _mm512_set1_ps(t.hi);
    each_sum<Whole>(sum, [=](__m512& s, int, int, bool) { s = clip(s, lo, hi); });
  }
  if (t.y)
    each_sum<Whole>(sum, [&](__m512& s, int r, int column, bool whole) {
      bfloat16* const to = t.y + r * t.y_step + column;
      if (whole) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrowed(s));
      else _mm256_mask_storeu_epi16(to, last, narrowed(s));
    });
  else
    each_sum<Whole>(sum, [&](__m512& s, int r, int column, bool whole) {
      float* const to = t.wide + r * t.y_step + column;
      if (whole) _mm512_storeu_ps(to, s);
      else _mm512_mask_storeu_ps(to, last, s);
    });
}

// One pair of the depth: of every row a pair for all columns.
template <int Rows, int Panels, int Vectors, class Read>
FOVEA_INLINE void step(const Pair*& b, int64_t b_step, __m512 (&sum)[Rows][Panels * Vectors], Read read) {
  __m512i column[Panels * Vectors];
  for (int p = 0; p < Panels; ++p)
    for (int v = 0; v < Vectors; ++v) column[p * Vectors + v] = _mm512_loadu_si512(b + p * b_step + v * kLanes);
  // B comes from the second cache, a panel after the other.
  for (int v = 0; v < Vectors; ++v)
    _mm_prefetch(reinterpret_cast<const char*>(b + 32 * Vectors * kLanes + v * kLanes), _MM_HINT_T0);
  b += Vectors * kLanes;
  for (int r = 0; r < Rows; ++r) {
    const __m512i value = _mm512_set1_epi32(read(r));
    for (int v = 0; v < Panels * Vectors; ++v) sum[r][v] = times_pairs(sum[r][v], column[v], value);
  }
}

template <int Rows, int Wide>
FOVEA_INLINE void start_tile(const Bf16Tile& t, __m512 (&sum)[Rows][Wide]) {
#pragma GCC unroll 8
  for (int v = 0; v < Wide; ++v) {
    const __m512 start =
        t.bias ? _mm512_maskz_loadu_ps(first(t.columns - v * kLanes), t.bias + v * kLanes) : _mm512_setzero_ps();
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) sum[r][v] = start;
  }
}
template <int Rows, int Wide>
FOVEA_INLINE void finish_tile(const Bf16Tile& t, __m512 (&sum)[Rows][Wide]) {
  if (t.columns == Wide * kLanes) finish_sums<true>(t, sum);
  else finish_sums<false>(t, sum);
}

template <int Rows, int Panels, int Vectors>
__attribute__((noinline)) static void tile(const Bf16Tile& t) {
  constexpr int kWide = Panels * Vectors;
  __m512 sum[Rows][kWide];
  start_tile(t, sum);
  const Pair* b = t.b;
  const int64_t pairs = t.depth / 2, b_step = t.b_step;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const bfloat16* a[Rows];
    for (int r = 0; r < Rows; ++r) a[r] = t.a[tap * t.a_step + r] + t.a_offset;
#pragma GCC unroll 2
    for (int64_t k = 0; k < pairs; ++k)
      step<Rows, Panels, Vectors>(b, b_step, sum, [&](int r) {
        int pair;
        std::memcpy(&pair, a[r] + 2 * k, sizeof pair);
        return pair;
      });
    if (t.depth % 2)                               // what lies behind the last one is not ours
      step<Rows, Panels, Vectors>(b, b_step, sum, [&](int r) { return static_cast<int>(a[r][t.depth - 1].bits); });
  }
  finish_tile(t, sum);
}

// Three vectors of columns leave registers for fewer rows.
template <int Rows>
FOVEA_INLINE void wide_tile(const Bf16Tile& t) {
  if constexpr (Rows <= 8) {
    tile<Rows, 1, 3>(t);
  } else {
    constexpr int kFirst = (Rows + 1) / 2;
    tile<kFirst, 1, 3>(t);
    Bf16Tile rest = t;
    rest.a += kFirst;
    if (rest.residual) rest.residual += kFirst * t.residual_step;
    if (rest.y) rest.y += kFirst * t.y_step;
    else rest.wide += kFirst * t.y_step;
    tile<Rows - kFirst, 1, 3>(rest);
  }
}
template <int Rows>
FOVEA_INLINE void tile_of(const Bf16Tile& t, int panels) {
  if (t.columns <= kLanes) return tile<Rows, 1, 1>(t);
  if constexpr (Rows == 1)
    if (panels == 4) return tile<1, 4, 2>(t);
  if constexpr (Rows <= 3)
    if (panels == 2) return tile<Rows, 2, 2>(t);
  if (t.columns > 2 * kLanes) return wide_tile<Rows>(t);
  tile<Rows, 1, 2>(t);
}
// Panels that one call may take for so few rows: enough independent sums to hide the latency of a product.
static int panels_at_once(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }
static void run_tile(const Bf16Tile& t, int panels) {
  switch (t.rows) {
    case 1: return tile_of<1>(t, panels);
    case 2: return tile_of<2>(t, panels);
    case 3: return tile_of<3>(t, panels);
    case 4: return tile_of<4>(t, panels);
    case 5: return tile_of<5>(t, panels);
    case 6: return tile_of<6>(t, panels);
    case 7: return tile_of<7>(t, panels);
    case 8: return tile_of<8>(t, panels);
    case 9: return tile_of<9>(t, panels);
    case 10: return tile_of<10>(t, panels);
    case 11: return tile_of<11>(t, panels);
    case 12: return tile_of<12>(t, panels);
    default: return;                               // more than Bf16Set::rows
  }
}

// Pairs: of a tap, zero unless the compiler is to know it.
template <int Rows, int Vectors, int Pairs>
FOVEA_INLINE void stepped_taps(const Bf16Tile& t, __m512 (&sum)[Rows][Vectors]) {
  const Pair* b = t.b;
  const int64_t pairs = Pairs ? Pairs : (t.depth + 1) / 2, a_step = t.a_step;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const bfloat16* a = t.a[tap] + t.a_offset;
#pragma GCC unroll 4
    for (int64_t k = 0; k < pairs; ++k, a += 2)
      step<Rows, 1, Vectors>(b, 0, sum, [&](int r) {
        int pair;
        std::memcpy(&pair, a + r * a_step, sizeof pair);
        return pair;
      });
  }
}
template <int Rows, int Vectors>
__attribute__((noinline)) static void stepped_tile(const Bf16Tile& t) {
  __m512 sum[Rows][Vectors];
  start_tile(t, sum);
  switch (t.depth) {
    case 3: stepped_taps<Rows, Vectors, 2>(t, sum); break;   // usual kernels on planes
    case 7: stepped_taps<Rows, Vectors, 4>(t, sum); break;
    default: stepped_taps<Rows, Vectors, 0>(t, sum);
  }
  finish_tile(t, sum);
}
template <int Rows>
FOVEA_INLINE void stepped_tile_of(const Bf16Tile& t) {
  if (t.columns <= kLanes) return stepped_tile<Rows, 1>(t);
  if (t.columns <= 2 * kLanes) return stepped_tile<Rows, 2>(t);
  constexpr int kFirst = (Rows + 1) / 2;
  stepped_tile<kFirst, 3>(t);
  Bf16Tile rest = t;
  rest.a_offset += kFirst * t.a_step;
  if (rest.y) rest.y += kFirst * t.y_step;
  else rest.wide += kFirst * t.y_step;
  stepped_tile<Rows - kFirst, 3>(rest);
}
static void run_stepped_tile(const Bf16Tile& t) {
  switch (t.rows) {
    case 6: return stepped_tile_of<6>(t);
    case 7: return stepped_tile_of<7>(t);
    case 8: return stepped_tile_of<8>(t);
    case 9: return stepped_tile_of<9>(t);
    case 10: return stepped_tile_of<10>(t);
    case 11: return stepped_tile_of<11>(t);
    case 12: return stepped_tile_of<12>(t);
    default: return;
  }
}
#undef FOVEA_INLINE

}  // namespace avx512_bf16
FOVEA_TARGET_END

void bf16_stepped_tile(const Bf16Tile& t) { avx512_bf16::run_stepped_tile(t); }

constinit const Bf16Set bf16_avx512{.name = "avx512_bf16",
                                    .rows = 12,
                                    .panels_at_once = avx512_bf16::panels_at_once,
                                    .tile = avx512_bf16::run_tile};

}  // namespace fovea::kernels::cpu
