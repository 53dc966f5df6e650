// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/neon.cpp — the inner loops for every AArch64 machine.
// FOVEA_LOOPS: one of simd/*_part.inc.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/isa/aarch64/sets.h"

namespace fovea::kernels::cpu {

namespace neon {
#include "kernels/cpu/simd/neon.inc"
#include FOVEA_LOOPS
}  // namespace neon

}  // namespace fovea::kernels::cpu
