// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/quant_amx.cpp — blocks of integer products by AMX.
// Everything of the standard library is included before the target pragma, as in loops_avx512.cpp.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"   // as in quant_vnni.cpp
#include <immintrin.h>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/quant_tile.h"

namespace fovea::kernels::cpu {

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-int8")
namespace avx512_amx_int8 {

#define FOVEA_AMX_DOT(sums, rows, columns) _tile_dpbusd(sums, rows, columns)
#include "kernels/cpu/simd/amx.inc"
#include "kernels/cpu/simd/quant_finish.inc"

static void copy(const QuantTile& t, std::byte* to) {
  copy_rows(t.a, t.a_step, t.a_offset, t.taps, 4 * t.quads, t.rows, to, t.copy_step);
}

static void tile(const QuantTile& t, int panels) {
  const Block block{t.copy, t.copy_step, reinterpret_cast<const std::byte*>(t.b), 4 * kQuantPanel, t.b_step,
                    (t.taps * t.quads + kAmxFill - 1) / kAmxFill};
  blocks<int32_t>(block, t.most_rows > 16, panels, t.columns,
                  [&](const int32_t* sums, int64_t step, int64_t column, int64_t columns) {
                    for (int64_t v = 0; v < columns; v += 16) {
                      const __m512i bias = _mm512_loadu_si512(t.finish.bias + column + v);
                      const auto some = static_cast<__mmask16>(columns - v >= 16 ? 0xffff : (1u << (columns - v)) - 1);
                      for (int r = 0; r < t.rows; ++r)
                        finish_vector(t.finish, _mm512_add_epi32(_mm512_load_si512(sums + r * step + v), bias), r,
                                      column + v, some);
                    }
                  });
}
static int panels_at_once(int rows) { return rows <= 16 ? 2 : 1; }

}  // namespace avx512_amx_int8
#pragma GCC pop_options

constinit const QuantSet quant_amx{.name = "amx_int8",
                                   .supported = amx_supported,
                                   .rows = kAmxRows,
                                   .fill = kAmxFill,
                                   .speed = 8,
                                   .panels_at_once = avx512_amx_int8::panels_at_once,
                                   .tile = avx512_amx_int8::tile,
                                   .begin = amx_begin,
                                   .end = amx_end,
                                   .copy = avx512_amx_int8::copy};

}  // namespace fovea::kernels::cpu
