// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx2_int8.cpp — products and loops of 8-bit integers for AVX2, by pairs of 16 bits.
// Everything of the standard library is included before the target pragma, as in avx2.cpp.
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma")
namespace avx2_int8 {
#include "kernels/cpu/simd/avx2.inc"
#include "kernels/cpu/simd/vector.inc"
#include "kernels/cpu/simd/quant_largest.inc"

#define FOVEA_TOGETHER 2
#define FOVEA_COLUMNS(p) _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))
FOVEA_INLINE Ints with_products(Ints sum, Ints a, Ints b) {
  const __m256i products = _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
  return reinterpret_cast<Ints>(_mm256_add_epi32(reinterpret_cast<__m256i>(sum), products));
}
#define FOVEA_ADD_PRODUCTS with_products
#define FOVEA_WIDEN_TO_SHORTS(p) _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))
#include "kernels/cpu/simd/quant_values.inc"
#include "kernels/cpu/simd/quant_copied.inc"
#include "kernels/cpu/simd/quant_runs.inc"
#include "kernels/cpu/simd/quant_winograd.inc"
#undef FOVEA_INLINE
}  // namespace avx2_int8
FOVEA_TARGET_END

constinit const QuantSet quant_avx2{.name = "avx2",
                                    .rows = avx2_int8::kTileRows,
                                    .together = 2,
                                    .copied_bytes = 2,
                                    .speed = 0.5,
                                    .panels_at_once = [](int) { return 1; },
                                    .tile = avx2_int8::run_tile,
                                    .copy = avx2_int8::copy_rows};

constinit const QuantWinograd quant_winograd_avx2{.name = "avx2",
                                                  .rows = avx2_int8::kTileRows,
                                                  .input = avx2_int8::quant_winograd_input,
                                                  .multiply = avx2_int8::quant_winograd_multiply,
                                                  .output = avx2_int8::quant_winograd_output,
                                                  .finish = avx2_int8::finish_rows};

constinit const QuantLoops quant_loops_avx2{.name = "avx2",
                                            .quantize = avx2_int8::quantize_vectors,
                                            .quantize_fine = avx2_int8::quantize_fine_vectors,
                                            .dequantize = avx2_int8::dequantize_vectors,
                                            .gate = avx2_int8::gate_vectors,
                                            .mean = avx2_int8::mean_vectors,
                                            .largest = avx2_int8::largest_run};

}  // namespace fovea::kernels::cpu
