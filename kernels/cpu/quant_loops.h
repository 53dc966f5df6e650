// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/quant_loops.h — the inner loops of 8-bit integers: once for processors with AVX-512 VNNI, once plain.
#pragma once
#include <cstdint>

namespace fovea::kernels::cpu {

/// What becomes of a sum: v = scale[c] * (sum + bias[c]) [+ residual], a function, and u8 or f32.
struct QuantFinish {
  const float* scale;                              // of the first column
  const int32_t* bias;
  const void* residual;                            // of the first row and column; may be null
  int64_t residual_step;
  float residual_scale, residual_shift;            // u8: value = scale * q + shift
  void* y;
  int64_t y_step;
  float lo, hi;                                    // v is clamped to these ...
  float inverse, zero;                             // ... and becomes round(v * inverse + zero)
  bool residual_u8, y_u8, hard_swish;
};

/// One register tile of sums of products. B is packed in panels of kQuantPanel columns: [depth / 4][column][4].
struct QuantTile {
  const uint8_t* const* a;                         // [taps][a_step]: where each row's elements start
  int64_t a_step, a_offset;                        // a_offset is added to every pointer: the group
  int64_t taps, quads;                             // quads: depth / 4
  const int8_t* b;
  int64_t b_step;                                  // from one panel to the next
  int rows;                                        // up to kQuantRows
  int64_t columns;
  QuantFinish finish;                              // scale and bias are filled up to whole panels
};
constexpr int kQuantPanel = 32, kQuantRows = 12, kQuantPanels = 4;   // panels: the most that one call takes

struct QuantLoops {
  const char* name;
  bool (*supported)();
  void (*tile)(const QuantTile& t, int panels);
  void (*quantize)(const float* x, float inverse, float zero, uint8_t* y, int64_t n);
  // n = round(x * inverse + zero), between 0 and 4095: n / 16 and n modulo 16
  void (*quantize_fine)(const float* x, float inverse, float zero, uint8_t* high, uint8_t* low, int64_t n);
  void (*dequantize)(const uint8_t* x, float scale, float shift, float* y, int64_t n);
  // y = round((x - x_zero) * gate[c] * factor + zero), channel by channel; `factor` is scale of x over scale of y
  void (*gate)(const uint8_t* x, float x_zero, const float* gate, float factor, float zero, uint8_t* y, int64_t n);
  void (*add)(const uint8_t* x, int32_t* sums, int64_t n);
  void (*largest)(const uint8_t* x, uint8_t* y, int64_t n);             // y = max(x, y)
};

/// The loops that go with loops(): VNNI's where the processor has them and loops() are AVX-512's.
const QuantLoops& quant_loops();

}  // namespace fovea::kernels::cpu
