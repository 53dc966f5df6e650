// SPDX-License-Identifier: Apache-2.0
// bench/isa/aarch64/loops.cpp — the most that AArch64 processors do, class by class.
#include <arm_neon.h>

#include "bench/isa/plain.h"
#include "bench/loops.h"
#include "engine/core/isa.h"

namespace fovea::bench {
namespace {

constexpr int kChains = 24;                        // of 32 registers: enough to hide four cycles on four pipes

bool has_dot() { return isa_allowed(Isa::neon_dot) && machine_has(Isa::neon_dot); }
bool has_bf16() { return isa_allowed(Isa::neon_bf16) && machine_has(Isa::neon_bf16); }

float neon_f32(int64_t rounds) {
  const float32x4_t multiply = vdupq_n_f32(kMultiply), add = vdupq_n_f32(kAdd);
  float32x4_t sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = vdupq_n_f32(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sums[i] = vfmaq_f32(sums[i], add, multiply);
  }
  float all = 0;
  for (const float32x4_t& s : sums) all += vgetq_lane_f32(s, 0);
  return all;
}

[[gnu::target("arch=armv8.2-a+dotprod")]] float dot_i8(int64_t rounds) {
  const int8x16_t factor = vdupq_n_s8(1);
  int32x4_t sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = vdupq_n_s32(i);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) {
      sums[i] = vdotq_s32(sums[i], factor, factor);
      asm("" : "+w"(sums[i]));                     // else all rounds might become one multiplication
    }
  }
  int32_t all = 1;
  for (const int32x4_t& s : sums) all |= vgetq_lane_s32(s, 0);
  return static_cast<float>(all);
}

[[gnu::target("arch=armv8.2-a+bf16")]] float dot_bf16(int64_t rounds) {
  volatile uint16_t one = 0x3f80;                  // GCC 12 would write a constant as one of f16, unknown here
  const bfloat16x8_t factor = vreinterpretq_bf16_u16(vdupq_n_u16(one));
  float32x4_t sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = vdupq_n_f32(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) {
      sums[i] = vbfdotq_f32(sums[i], factor, factor);
      asm("" : "+w"(sums[i]));
    }
  }
  float all = 0;
  for (const float32x4_t& s : sums) all += vgetq_lane_f32(s, 0);
  return all;
}

constexpr Loop kLoops[] = {
    {"neon", DType::f32, kChains * 4 * 2, always, neon_f32},
    {"neon_bf16", DType::bf16, kChains * 8 * 2, has_bf16, dot_bf16},
    {"neon_dot", DType::i8, kChains * 16 * 2, has_dot, dot_i8},
};

}  // namespace

std::span<const Loop> known_loops() { return kLoops; }

uint64_t read_all(const std::byte* data, size_t bytes) {
  uint64x2_t sums[4] = {};
  for (size_t i = 0; i < bytes; i += 64) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j)
      sums[j] = veorq_u64(sums[j], vld1q_u64(reinterpret_cast<const uint64_t*>(data + i + 16 * j)));
  }
  return vgetq_lane_u64(veorq_u64(veorq_u64(sums[0], sums[1]), veorq_u64(sums[2], sums[3])), 0);
}

}  // namespace fovea::bench
