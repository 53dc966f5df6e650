// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512.cpp — the inner loops for AVX-512 machines.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <immintrin.h>

#include <cstdint>

#include "engine/core/isa.h"
#include "kernels/cpu/isa/loops.h"

namespace fovea::kernels::cpu {

static bool supported() {
  return isa_allowed(Isa::avx512) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512 {
#include "kernels/cpu/simd/avx512.inc"
#include "kernels/cpu/simd/loops.inc"
}  // namespace avx512
#pragma GCC pop_options

extern const Loops loops_avx512;
constinit const Loops loops_avx512 = avx512::make_table("avx512", supported);

}  // namespace fovea::kernels::cpu
