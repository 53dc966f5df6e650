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
#define FOVEA_LANES 8
#define FOVEA_MIN _mm256_min_ps
#define FOVEA_MAX _mm256_max_ps
alignas(64) static constexpr int32_t kParts[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define FOVEA_PART(n) _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kParts + 8 - (n)))
#define FOVEA_LOAD_PART(p, n) _mm256_maskload_ps(p, FOVEA_PART(n))
#define FOVEA_STORE_PART(p, n, v) _mm256_maskstore_ps(p, FOVEA_PART(n), v)
#define FOVEA_WIDEN(h) _mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(h))
#include FOVEA_LOOPS
}  // namespace avx2
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
