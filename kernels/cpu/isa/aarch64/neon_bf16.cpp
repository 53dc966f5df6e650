// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/neon_bf16.cpp — the inner loops for machines that also round to bf16 by one instruction.
// FOVEA_LOOPS: one of simd/*_part.inc.
// Everything of the standard library is included before the target pragma, as in bf16_tile.cpp.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/isa/aarch64/sets.h"
#include "kernels/cpu/isa/target.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("arch=armv8.2-a+bf16")
namespace neon_bf16 {
#include "kernels/cpu/simd/neon_bf16.inc"
#include FOVEA_LOOPS
}  // namespace neon_bf16
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
