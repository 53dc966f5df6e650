// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/loops_avx2.cpp — the inner loops for AVX2 with FMA.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/loops.h"

namespace fovea::kernels::cpu {

static bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2 {
#define FOVEA_LANES 8
#define FOVEA_MIN _mm256_min_ps
#define FOVEA_MAX _mm256_max_ps
#include "kernels/cpu/simd/loops.inc"
}  // namespace avx2
#pragma GCC pop_options

extern const Loops loops_avx2;
constinit const Loops loops_avx2 = avx2::make_table("avx2", supported);

}  // namespace fovea::kernels::cpu
