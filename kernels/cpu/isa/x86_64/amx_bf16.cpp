// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/amx_bf16.cpp — blocks of bf16 products by AMX.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/amx.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")
namespace avx512_amx_bf16 {

#define FOVEA_AMX_DOT(sums, rows, columns) _tile_dpbf16ps(sums, rows, columns)
#include "kernels/cpu/simd/amx.inc"
#include "kernels/cpu/simd/bf16.inc"

static void copy(const Bf16Tile& t, std::byte* to) {
  copy_rows(t.a, t.a_step, t.a_offset, t.taps, t.depth * static_cast<int64_t>(sizeof(bfloat16)), t.rows, to,
            t.copy_step);
}

// 16 sums of one row with bias, to be rounded; `some`: of which there are results.
FOVEA_INLINE __m512 finished(const Bf16Tile& t, __m512 s, int64_t row, int64_t column, __mmask16 some) {
  if (t.residual)
    s = _mm512_add_ps(s, widened(_mm256_maskz_loadu_epi16(some, t.residual + row * t.residual_step + column)));
  return t.hard_swish ? hard_swish(s) : clip(s, _mm512_set1_ps(t.lo), _mm512_set1_ps(t.hi));
}

// Of rows of up to 32 columns.
static void finish_rows(const Bf16Tile& t, const float* sums, int64_t step, int64_t column, int64_t columns) {
  const __mmask16 low = first(columns), high = columns > kLanes ? first(columns - kLanes) : __mmask16{0};
  const __mmask32 both = static_cast<__mmask32>(high) << kLanes | low;
  const __m512 none = _mm512_setzero_ps();
  const __m512 low_bias = t.bias ? _mm512_maskz_loadu_ps(low, t.bias + column) : none,
               high_bias = t.bias ? _mm512_maskz_loadu_ps(high, t.bias + column + kLanes) : none;
  for (int r = 0; r < t.rows; ++r) {
    const float* const from = sums + r * step;
    const __m512 u = finished(t, _mm512_add_ps(_mm512_load_ps(from), low_bias), r, column, low),
                 v = finished(t, _mm512_add_ps(_mm512_load_ps(from + kLanes), high_bias), r, column + kLanes, high);
    const int64_t at = r * t.y_step + column;
    if (t.y) {
      _mm512_mask_storeu_epi16(t.y + at, both, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(v, u)));
    } else {
      _mm512_mask_storeu_ps(t.wide + at, low, u);
      _mm512_mask_storeu_ps(t.wide + at + kLanes, high, v);
    }
  }
}

static void tile(const Bf16Tile& t, int panels) {
  const int64_t width = t.columns <= kLanes ? kLanes : panels == 1 && t.columns > 2 * kLanes ? 3 * kLanes : 2 * kLanes;
  const int64_t steps = (t.taps * ((t.depth + 1) / 2) + kAmxFill - 1) / kAmxFill;
  const int64_t bytes = static_cast<int64_t>(sizeof(Pair));
  const Block block{t.copy,        t.copy_step,      reinterpret_cast<const std::byte*>(t.b),
                    width * bytes, t.b_step * bytes, steps};
  blocks<float>(block, t.most_rows > 16, panels, t.columns,
                [&](const float* sums, int64_t step, int64_t column, int64_t columns) {
                  finish_rows(t, sums, step, column, columns);
                });
}

#undef FOVEA_INLINE

}  // namespace avx512_amx_bf16
FOVEA_TARGET_END

constinit const Bf16Set bf16_amx = amx_set("amx_bf16", avx512_amx_bf16::tile, avx512_amx_bf16::copy);

}  // namespace fovea::kernels::cpu
