// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/halves.cpp — dot products with weights in f16, widened by FCVTL.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/isa/aarch64/sets.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kLanes = 4;

float32x4_t widened(const uint16_t* w) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(w))); }

template <int Outputs>
void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  float32x4_t sum[Outputs][2];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sum[o][0] = sum[o][1] = vdupq_n_f32(0);
  int64_t i = 0;
  for (; i + 2 * kLanes <= depth; i += 2 * kLanes) {
    const float32x4_t low = vld1q_f32(x + i), high = vld1q_f32(x + i + kLanes);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) {
      const uint16_t* const from = w + o * depth + i;
      sum[o][0] = vfmaq_f32(sum[o][0], low, widened(from));
      sum[o][1] = vfmaq_f32(sum[o][1], high, widened(from + kLanes));
    }
  }
  for (; i < depth; i += kLanes) {
    float v[kLanes] = {};
    const int64_t count = depth - i < kLanes ? depth - i : kLanes;
    for (int64_t k = 0; k < count; ++k) v[k] = x[i + k];
    for (int o = 0; o < Outputs; ++o) {
      uint16_t halves[kLanes] = {};
      for (int64_t k = 0; k < count; ++k) halves[k] = w[o * depth + i + k];
      sum[o][0] = vfmaq_f32(sum[o][0], vld1q_f32(v), widened(halves));
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) y[o] = vaddvq_f32(vaddq_f32(sum[o][0], sum[o][1]));
}

}  // namespace

constinit const HalfDots halves_neon{dots<HalfDots::kMany>, dots<1>};

}  // namespace fovea::kernels::cpu
