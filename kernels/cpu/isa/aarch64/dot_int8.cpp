// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/dot_int8.cpp — products of 8-bit integers by SDOT: one instruction multiplies 16 bytes and
// adds the products up in fours; both have a sign, so that rows are copied less 128.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <arm_neon.h>

#include <iterator>

#include "kernels/cpu/isa/aarch64/sets.h"
#include "kernels/cpu/isa/target.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("arch=armv8.2-a+dotprod")
namespace neon_dot {
#include "kernels/cpu/simd/neon.inc"
#include "kernels/cpu/simd/vector.inc"
#include "kernels/cpu/simd/quant_values.inc"

struct By {
  static constexpr int kRows = 5, kTogether = 4;
  static constexpr bool kSign = true;
  struct Columns {
    int8x16_t v[4];
  };
  FOVEA_INLINE Columns columns(const int8_t* b) {
    return {{vld1q_s8(b), vld1q_s8(b + 16), vld1q_s8(b + 32), vld1q_s8(b + 48)}};
  }
  FOVEA_INLINE int32x4_t added(int32x4_t sum, const Columns& c, int v, int32x4_t a) {
    return vdotq_s32(sum, c.v[v], vreinterpretq_s8_s32(a));
  }
};
#include "kernels/cpu/simd/quant_neon.inc"
#undef FOVEA_INLINE
}  // namespace neon_dot
FOVEA_TARGET_END

constinit const QuantSet quant_dot{.name = "neon_dot",
                                   .rows = neon_dot::By::kRows,
                                   .panels_at_once = [](int) { return 1; },
                                   .tile = neon_dot::run_tile,
                                   .copy = neon_dot::copy_rows};

}  // namespace fovea::kernels::cpu
