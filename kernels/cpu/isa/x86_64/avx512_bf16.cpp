// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_bf16.cpp — the same for machines that also round to bf16 by one instruction.
// FOVEA_LOOPS: one of simd/*_part.inc.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace avx512_bf16 {
#define FOVEA_NARROWED(v) _mm512_cvtneps_pbh(v)
#include "kernels/cpu/simd/avx512.inc"
#include FOVEA_LOOPS
}  // namespace avx512_bf16
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
