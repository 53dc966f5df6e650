// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/coarse_map.h — functions of sums in f32 whose results are rounded to bf16, or to bytes.
#pragma once
#include <cstdint>

#include "engine/core/epilogue.h"
#include "engine/core/types.h"
#include "kernels/cpu/isa/loops.h"

namespace fovea::kernels::cpu {

/// y = e.act(x); the sums may be overwritten.
struct Bf16Map {
  Epilogue e;
  float* x;
  bfloat16* y;
  int64_t x_step, y_step, rows, columns;
};
/// Where the processor has AVX512_BF16, with as many bits as bf16 shows; else as `l` computes in f32.
void map_to_bf16(const Loops& l, const Bf16Map& m);

/// y = round(e.act(x) * inverse + zero), to nearest even, clamped to 0 ... 255. The sums may be overwritten. e.act is
/// as exact as in map_to_bf16().
struct ByteMap {
  Epilogue e;
  float* x;
  uint8_t* y;
  int64_t x_step, y_step, rows, columns;
  float inverse, zero;
};
void map_to_bytes(const Loops& l, const ByteMap& m);

}  // namespace fovea::kernels::cpu
