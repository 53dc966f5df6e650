// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/avx512_vnni.cpp — products and loops of 8-bit integers for AVX-512 VNNI: one instruction
// multiplies 64 bytes and adds the products up in fours.
// Everything of the standard library is included before the target pragma, as in avx512.cpp.
// GCC 12 warns of vectors that its own intrinsics begin with, all of whose parts are then written.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/isa/x86_64/sets.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace avx512vnni {
#include "kernels/cpu/simd/lanes.inc"
#include "kernels/cpu/simd/quant_channels.inc"
#include "kernels/cpu/simd/quant_gemm.inc"
#include "kernels/cpu/simd/quant_rows.inc"
#undef FOVEA_INLINE
}  // namespace avx512vnni
FOVEA_TARGET_END

constinit const QuantSet quant_vnni{.name = "avx512vnni",
                                    .rows = 12,
                                    .panels_at_once = avx512vnni::panels_at_once,
                                    .tile = avx512vnni::run_tile};

constinit const QuantLoops quant_loops_vnni{.name = "avx512vnni",
                                                    .quantize = avx512vnni::quantize_run,
                                            .quantize_fine = avx512vnni::quantize_fine_vectors,
                                            .dequantize = avx512vnni::dequantize_run,
                                            .gate = avx512vnni::gate_vectors,
                                            .mean = avx512vnni::mean_vectors,
                                            .largest = avx512vnni::largest_run,
                                            .depthwise = vnni_depthwise,
                                            .depthwise_to_f32 = vnni_depthwise_to_f32};

}  // namespace fovea::kernels::cpu
