// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/neon_int8.cpp — products and loops of 8-bit integers for every AArch64 machine. Two
// products of bytes fit 16 bits, for weights are at least -127: SMULL and SMLAL multiply eight, SADALP adds them up.
// Three instructions for 16 products are less than f32 takes.
#include <arm_neon.h>

#include <iterator>

#include "kernels/cpu/isa/aarch64/sets.h"

namespace fovea::kernels::cpu {

namespace neon_int8 {
#include "kernels/cpu/simd/neon.inc"
#include "kernels/cpu/simd/vector.inc"
#include "kernels/cpu/simd/quant_largest.inc"
#include "kernels/cpu/simd/quant_values.inc"
#include "kernels/cpu/simd/quant_runs.inc"

struct By {
  static constexpr int kRows = 4, kTogether = 2;
  static constexpr bool kSign = true;
  struct Columns {
    int8x16_t v[4];                                // pairs of eight columns: the first two, then the next ones
  };
  FOVEA_INLINE Columns columns(const int8_t* b) {
    const int8_t* const next = b + 2 * kQuantPanel;
    return {{vld1q_s8(b), vld1q_s8(b + 16), vld1q_s8(next), vld1q_s8(next + 16)}};
  }
  FOVEA_INLINE int32x4_t added(int32x4_t sum, const Columns& c, int v, int32x4_t a) {
    const int16x8_t both = vreinterpretq_s16_s32(a);
    const int8x16_t first = vreinterpretq_s8_s16(vdupq_laneq_s16(both, 0)),
                    second = vreinterpretq_s8_s16(vdupq_laneq_s16(both, 1));
    const int8x16_t low = c.v[v / 2], high = c.v[2 + v / 2];
    const int16x8_t products =
        v % 2 == 0 ? vmlal_s8(vmull_s8(vget_low_s8(low), vget_low_s8(first)), vget_low_s8(high), vget_low_s8(second))
                   : vmlal_high_s8(vmull_high_s8(low, first), high, second);
    return vpadalq_s16(sum, products);
  }
};
#include "kernels/cpu/simd/quant_neon.inc"
#undef FOVEA_INLINE
}  // namespace neon_int8

constinit const QuantSet quant_neon{.name = "neon",
                                    .rows = neon_int8::By::kRows,
                                    .together = neon_int8::By::kTogether,
                                    .speed = 0.25,
                                    .panels_at_once = [](int) { return 1; },
                                    .tile = neon_int8::run_tile,
                                    .copy = neon_int8::copy_rows};

constinit const QuantLoops quant_loops_neon{.name = "neon",
                                            .quantize = neon_int8::quantize_vectors,
                                            .quantize_fine = neon_int8::quantize_fine_vectors,
                                            .dequantize = neon_int8::dequantize_vectors,
                                            .gate = neon_int8::gate_vectors,
                                            .mean = neon_int8::mean_vectors,
                                            .largest = neon_int8::largest_run};

}  // namespace fovea::kernels::cpu
