// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/half_linear.cpp — linear layers of few rows whose weights are f16: each output is a dot product
// of what lies side by side, so that nothing is packed and every weight is read once.
// Everything of the standard library is included before the target pragma, as in isa/x86_64/avx512.cpp.
#pragma GCC diagnostic ignored "-Wuninitialized"   // as in isa/x86_64/avx512_vnni.cpp
#include <immintrin.h>

#include <algorithm>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kOutputs = 8;                    // of one call

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,fma")
namespace avx512_half {

// y[o] = sum of w[o * depth + i] x[i] for `outputs` of them, up to kOutputs.
template <int Outputs>
static void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  __m512 sum[Outputs];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sum[o] = _mm512_setzero_ps();
  const auto add = [&](int64_t i, __mmask16 some) __attribute__((always_inline)) {
    const __m512 v = _mm512_maskz_loadu_ps(some, x + i);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) {
      const __m256i halves = _mm256_maskz_loadu_epi16(some, w + o * depth + i);
      sum[o] = _mm512_fmadd_ps(v, _mm512_maskz_cvtph_ps(0xffff, halves), sum[o]);
    }
  };
  int64_t i = 0;
  for (; i + 16 <= depth; i += 16) add(i, 0xffff);
  if (i < depth) add(i, static_cast<__mmask16>((1 << (depth - i)) - 1));
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) y[o] = _mm512_reduce_add_ps(sum[o]);
}

}  // namespace avx512_half
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
namespace avx2_half {

static inline __attribute__((always_inline)) __m256 widened(const uint16_t* w) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
}
static inline __attribute__((always_inline)) float total(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

template <int Outputs>
static void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  constexpr int64_t kLanes = 8;
  __m256 sum[Outputs];
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) sum[o] = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) {
    const __m256 v = _mm256_loadu_ps(x + i);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o) sum[o] = _mm256_fmadd_ps(v, widened(w + o * depth + i), sum[o]);
  }
  if (i < depth) {
    float v[kLanes] = {};
    for (int64_t k = i; k < depth; ++k) v[k - i] = x[k];
    for (int o = 0; o < Outputs; ++o) {
      uint16_t halves[kLanes] = {};
      for (int64_t k = i; k < depth; ++k) halves[k - i] = w[o * depth + k];
      sum[o] = _mm256_fmadd_ps(_mm256_loadu_ps(v), widened(halves), sum[o]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < Outputs; ++o) y[o] = total(sum[o]);
}

}  // namespace avx2_half
#pragma GCC pop_options

namespace plain_half {

// Processors without an instruction for halves: a block of weights is widened on the stack, then multiplied.
template <int Outputs>
void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  constexpr int64_t kBlock = 256, kLanes = 8;
  for (int o = 0; o < Outputs; ++o, w += depth) {
    float sums[kLanes] = {}, wide[kBlock];
    for (int64_t from = 0; from < depth; from += kBlock) {
      const int64_t count = std::min(kBlock, depth - from);
      for (int64_t i = 0; i < count; ++i) wide[i] = to_float(float16{w[from + i]});
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes)
        for (int64_t k = 0; k < kLanes; ++k) sums[k] += x[from + i + k] * wide[i + k];
      for (; i < count; ++i) sums[i % kLanes] += x[from + i] * wide[i];
    }
    y[o] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  }
}

}  // namespace plain_half

// y[o] as above, for kOutputs of them and for one.
struct Dots {
  void (*many)(const float* x, const uint16_t* w, int64_t depth, float* y);
  void (*one)(const float* x, const uint16_t* w, int64_t depth, float* y);
};
Dots dots_of(const Loops& l) {
  switch (l.lanes) {
    case 16: return {avx512_half::dots<kOutputs>, avx512_half::dots<1>};
    case 8: return {avx2_half::dots<kOutputs>, avx2_half::dots<1>};
    default: return {plain_half::dots<kOutputs>, plain_half::dots<1>};
  }
}

class HalfLinear final : public Plan {
 public:
  explicit HalfLinear(const Site& s)
      : loops_(&loops()), dots_(dots_of(*loops_)), finish_(s.attrs<LinearAttrs>().epilogue),
        rows_(s.operand(0).shape[0]), depth_(s.operand(1).shape[1]), outputs_(s.operand(1).shape[0]) {
    name = str_cat("cpu:half ", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *bias = floats(a.in[2]);
    const auto* const w = reinterpret_cast<const uint16_t*>(a.in[1]);
    float* const y = floats(a.out[0]);
    constexpr int64_t kWork = 150000;              // multiplications below which another thread does not pay
    parallel_for(outputs_, kWork / (rows_ * depth_ + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = 0; r < rows_; ++r) {
        float* const to = y + r * outputs_;
        for (int64_t o = first; o < last; o += kOutputs) few(x + r * depth_, w + o * depth_, last - o, to + o);
        finish(bias, first, last, to);
      }
    });
  }

 private:
  void few(const float* x, const uint16_t* w, int64_t left, float* y) const {
    if (left >= kOutputs) return dots_.many(x, w, depth_, y);
    for (int64_t o = 0; o < left; ++o) dots_.one(x, w + o * depth_, depth_, y + o);
  }
  void finish(const float* bias, int64_t first, int64_t last, float* y) const {
    for (int64_t o = first; o < last; ++o) {
      const float v = bias ? y[o] + bias[o] : y[o];
      y[o] = v < finish_.lo ? finish_.lo : v > finish_.hi ? finish_.hi : v;
    }
    const Epilogue& e = finish_.act;
    if (finish_.map) loops_->unary(e.act, e.a, e.b, y + first, y + first, last - first);
  }

  const Loops* loops_;
  Dots dots_;
  Finish finish_;
  int64_t rows_, depth_, outputs_;
};

PlanPtr plan_half_linear(const Site& s) {
  if (!loops().has_unary(s.attrs<LinearAttrs>().epilogue.act)) return nullptr;
  for (const Meta& m : s.in)
    if (m.present() && !lies_as(m, Memory::contiguous)) return nullptr;
  return std::make_shared<HalfLinear>(s);
}

constexpr Kernel table[] = {{&ops::half_linear, plan_half_linear}};

}  // namespace

std::span<const Kernel> half_linear_kernels() { return table; }

}  // namespace fovea::kernels::cpu
