// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx2.cpp — the inner loops for AVX2 with FMA.
// FOVEA_LOOPS: one of simd/*_part.inc.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,f16c")
namespace avx2 {
#include "kernels/cpu/simd/avx2.inc"
#include FOVEA_LOOPS
}  // namespace avx2
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
