// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/amx_int8.cpp — blocks of integer products by AMX.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"   // as in avx512_vnni.cpp
#endif
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/amx.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")
namespace avx512_amx_int8 {

#define FOVEA_AMX_DOT(sums, rows, columns) _tile_dpbusd(sums, rows, columns)
#include "kernels/cpu/simd/amx.inc"
#include "kernels/cpu/simd/lanes.inc"
#include "kernels/cpu/simd/quant_finish.inc"

static void copy(const QuantTile& t, std::byte* to) {
  copy_rows(t.a, t.a_step, t.a_offset, t.taps, 4 * t.quads, t.rows, to, t.copy_step);
}

// Rows of sums in memory, of up to Wide vectors.
template <int Rows, int Wide>
static inline __attribute__((always_inline)) void finish_rows(const QuantFinish& f, const int32_t* sums, int64_t step,
                                                              int64_t row, int64_t column, int64_t columns) {
  __m512i sum[Rows][Wide];
#pragma GCC unroll 2
  for (int v = 0; v < Wide; ++v) {
    const __m512i bias = _mm512_loadu_si512(f.bias + column + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
      sum[r][v] = _mm512_add_epi32(_mm512_load_si512(sums + (row + r) * step + v * 16), bias);
  }
  const auto moved = [](const void* p, bool u8, int64_t at) {
    return const_cast<std::byte*>(static_cast<const std::byte*>(p)) + (u8 ? at : at * 4);
  };
  QuantFinish part = f;
  part.scale += column;
  part.y = moved(f.y, f.y_u8, row * f.y_step + column);
  if (f.residual) part.residual = moved(f.residual, f.residual_u8, row * f.residual_step + column);
  finish_sums(part, columns, sum);
}
template <int Wide>
static void finish_block(const QuantTile& t, const int32_t* sums, int64_t step, int64_t column, int64_t columns) {
  int r = 0;
  for (; r + 8 <= t.rows; r += 8) finish_rows<8, Wide>(t.finish, sums, step, r, column, columns);
  for (; r < t.rows; ++r) finish_rows<1, Wide>(t.finish, sums, step, r, column, columns);
}

static void tile(const QuantTile& t, int panels) {
  const Block block{t.copy, t.copy_step, reinterpret_cast<const std::byte*>(t.b), 4 * kQuantPanel, t.b_step,
                    (t.taps * t.quads + kAmxFill - 1) / kAmxFill};
  blocks<int32_t>(block, t.most_rows > 16, panels, t.columns,
                  [&](const int32_t* sums, int64_t step, int64_t column, int64_t columns) {
                    (columns > 16 ? finish_block<2> : finish_block<1>)(t, sums, step, column, columns);
                  });
}

#undef FOVEA_INLINE

}  // namespace avx512_amx_int8
FOVEA_TARGET_END

constinit const QuantSet quant_amx = amx_set("amx_int8", avx512_amx_int8::tile, avx512_amx_int8::copy);

}  // namespace fovea::kernels::cpu
