// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/quant_loops.cpp — runs of 8-bit integers in plain loops, for processors without their own and
// as the twin that the fast ones are compared with.
#include <algorithm>

#include "kernels/cpu/isa/generic/sets.h"

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

void gate_run(const uint8_t* __restrict x, int64_t rows, float x_zero, const float* __restrict gate, float factor,
              float zero, uint8_t* __restrict y, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n)
    for (int64_t i = 0; i < n; ++i) y[i] = rounded_u8((static_cast<float>(x[i]) - x_zero) * (gate[i] * factor) + zero);
}

void mean_run(const uint8_t* __restrict x, int64_t step, int64_t rows, int32_t shift, float each, float* __restrict y,
              int64_t n) {
  constexpr int64_t kBlock = 64;
  for (int64_t from = 0; from < n; from += kBlock) {
    const int64_t count = std::min(kBlock, n - from);
    int32_t sums[kBlock] = {};
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < count; ++c) sums[c] += x[r * step + from + c];
    for (int64_t c = 0; c < count; ++c) y[from + c] = static_cast<float>(sums[c] - shift) * each;
  }
}

}  // namespace

constinit const QuantLoops quant_loops_plain{.name = "plain",
                                             .quantize = quantize_run,
                                             .quantize_fine = quantize_fine_run,
                                             .dequantize = dequantize_run,
                                             .gate = gate_run,
                                             .mean = mean_run,
                                             .largest = largest_run};

}  // namespace fovea::kernels::cpu
