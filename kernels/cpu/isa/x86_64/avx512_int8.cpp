// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_int8.cpp — loops of 8-bit integers for AVX-512, and products where it lacks VNNI: by
// pairs of 16 bits.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
// GCC 12 warns of vectors that its own intrinsics begin with, all of whose parts are then written.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
namespace avx512_int8 {
#include "kernels/cpu/simd/avx512.inc"
#include "kernels/cpu/simd/vector.inc"

FOVEA_INLINE __m256i half_of(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
#define FOVEA_TOGETHER 2
#define FOVEA_COLUMNS(p) _mm512_cvtepi8_epi16(half_of(p))
FOVEA_INLINE Ints with_products(Ints sum, Ints a, Ints b) {
  const __m512i products = _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  return reinterpret_cast<Ints>(_mm512_add_epi32(reinterpret_cast<__m512i>(sum), products));
}
#define FOVEA_ADD_PRODUCTS with_products
#define FOVEA_WIDEN_TO_SHORTS(p) _mm512_cvtepu8_epi16(half_of(p))
#include "kernels/cpu/simd/quant_values.inc"
#include "kernels/cpu/simd/quant_copied.inc"
#include "kernels/cpu/simd/quant_winograd.inc"
#undef FOVEA_INLINE
}  // namespace avx512_int8
namespace avx512_bytes {
#include "kernels/cpu/simd/lanes.inc"
#include "kernels/cpu/simd/quant_channels.inc"
#include "kernels/cpu/simd/quant_rows.inc"
#undef FOVEA_INLINE
}  // namespace avx512_bytes
FOVEA_TARGET_END

constinit const QuantSet quant_avx512{.name = "avx512",
                                      .rows = avx512_int8::kTileRows,
                                      .together = 2,
                                      .copied_bytes = 2,
                                      .speed = 0.5,
                                      .panels_at_once = [](int) { return 1; },
                                      .tile = avx512_int8::run_tile,
                                      .copy = avx512_int8::copy_rows};

constinit const QuantWinograd quant_winograd_avx512{.name = "avx512",
                                                    .rows = avx512_int8::kTileRows,
                                                    .input = avx512_int8::quant_winograd_input,
                                                    .multiply = avx512_int8::quant_winograd_multiply,
                                                    .output = avx512_int8::quant_winograd_output,
                                                    .finish = avx512_int8::finish_rows};

constinit const QuantLoops quant_loops_avx512{.name = "avx512",
                                              .quantize = avx512_bytes::quantize_run,
                                              .quantize_fine = avx512_bytes::quantize_fine_vectors,
                                              .dequantize = avx512_bytes::dequantize_run,
                                              .gate = avx512_bytes::gate_vectors,
                                              .mean = avx512_bytes::mean_vectors,
                                              .largest = avx512_bytes::largest_run};

}  // namespace fovea::kernels::cpu
