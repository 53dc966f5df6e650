// SPDX-License-Identifier: Apache-2.0
// The plain loops, for processors without VNNI and as the twin that the fast ones are compared with.
#include "kernels/cpu/quant_loops.h"

#include "kernels/cpu/loops.h"

namespace fovea::kernels::cpu {
namespace {

#include "kernels/cpu/simd/quant_rows.inc"

void quantize_fine_run(const float* __restrict x, float inverse, float zero, uint8_t* __restrict high,
                       uint8_t* __restrict low, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float v = x[i] * inverse + zero;
    v = v > 0.f ? v : 0.f;
    v = v < 4095.f ? v : 4095.f;
    const int32_t bits = __builtin_bit_cast(int32_t, v + 12582912.f);
    high[i] = static_cast<uint8_t>(bits >> 4);
    low[i] = static_cast<uint8_t>(bits & 15);
  }
}

void gate_run(const uint8_t* __restrict x, float x_zero, const float* __restrict gate, float factor, float zero,
                     uint8_t* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = rounded_u8((static_cast<float>(x[i]) - x_zero) * (gate[i] * factor) + zero);
}

}  // namespace

extern const QuantLoops quant_loops_vnni;          // quant_vnni.cpp
namespace {
constexpr QuantLoops plain{.name = "plain",
                           .supported = [] { return true; },
                           .quantize = quantize_run,
                           .quantize_fine = quantize_fine_run,
                           .dequantize = dequantize_run,
                           .gate = gate_run,
                           .add = add_run,
                           .largest = largest_run};
}

const QuantLoops& quant_loops() {
  static const bool vnni = quant_loops_vnni.supported();
  return vnni && loops().lanes == 16 ? quant_loops_vnni : plain;
}

}  // namespace fovea::kernels::cpu
