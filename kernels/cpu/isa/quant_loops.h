// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/quant_loops.h — the inner loops over runs of 8-bit integers: once for processors with AVX-512 VNNI,
// once plain.
#pragma once
#include <cstdint>

namespace fovea::kernels::cpu {

struct QuantLoops {
  const char* name;
  bool (*supported)();
  void (*quantize)(const float* x, float inverse, float zero, uint8_t* y, int64_t n);
  // n = round(x * inverse + zero), between 0 and 4095: n / 16 and n modulo 16
  void (*quantize_fine)(const float* x, float inverse, float zero, uint8_t* high, uint8_t* low, int64_t n);
  void (*dequantize)(const uint8_t* x, float scale, float shift, float* y, int64_t n);
  // rows of n channels, one behind the other: y = round((x - x_zero) * gate[c] * factor + zero); `factor` is scale of x
  // over scale of y
  void (*gate)(const uint8_t* x, int64_t rows, float x_zero, const float* gate, float factor, float zero, uint8_t* y,
               int64_t n);
  // y[c] = (sum of channel c over `rows`, which lie `step` apart, less shift) * each; up to eight million rows
  void (*mean)(const uint8_t* x, int64_t step, int64_t rows, int32_t shift, float each, float* y, int64_t n);
  void (*largest)(const uint8_t* x, uint8_t* y, int64_t n);             // y = max(x, y)
};

/// The loops that go with loops(): VNNI's where the processor has them and loops() are AVX-512's.
const QuantLoops& quant_loops();

}  // namespace fovea::kernels::cpu
