// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/sse2.cpp — the inner loops for every x86-64 machine.
// FOVEA_LOOPS: one of simd/*_part.inc.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("sse2")
namespace sse2 {
#define FOVEA_LANES 4
#define FOVEA_REGISTERS 16
#define FOVEA_MIN _mm_min_ps
#define FOVEA_MAX _mm_max_ps
#include FOVEA_LOOPS
}  // namespace sse2
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
