// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avxvnni_int8.cpp — products of 8-bit integers for AVX2 with AVX-VNNI: one instruction
// multiplies 32 bytes and adds the products up in fours.
// Everything of the standard library is included before the target pragma, as in avx2.cpp.
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avxvnni")
namespace avx2_vnni {
#include "kernels/cpu/simd/avx2.inc"
#include "kernels/cpu/simd/vector.inc"
#define FOVEA_TOGETHER 4
#define FOVEA_COLUMNS(p) _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
FOVEA_INLINE Ints with_products(Ints sum, Ints a, Ints b) {
  return reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a),
                                                        reinterpret_cast<__m256i>(b)));
}
#define FOVEA_ADD_PRODUCTS with_products
#include "kernels/cpu/simd/quant_values.inc"
#include "kernels/cpu/simd/quant_copied.inc"
#undef FOVEA_INLINE
}  // namespace avx2_vnni
FOVEA_TARGET_END

constinit const QuantSet quant_avxvnni{.name = "avxvnni",
                                       .rows = avx2_vnni::kTileRows,
                                       .panels_at_once = [](int) { return 1; },
                                       .tile = avx2_vnni::run_tile,
                                       .copy = avx2_vnni::copy_rows};

}  // namespace fovea::kernels::cpu
