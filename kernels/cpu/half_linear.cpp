// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/half_linear.cpp — linear layers of few rows whose weights are f16: each output is a dot product of what
// lies side by side, so that nothing is packed and every weight is read once.
// Everything of the standard library is included before the target pragma, as in loops_avx512.cpp.
#pragma GCC diagnostic ignored "-Wuninitialized"   // as in quant_vnni.cpp
#include <immintrin.h>

#include <algorithm>

#include "engine/ops/quant.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/parallel.h"

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

class HalfLinear final : public Plan {
 public:
  explicit HalfLinear(const Site& s)
      : loops_(&loops()), finish_(s.attrs<LinearAttrs>().epilogue), rows_(s.operand(0).shape[0]),
        depth_(s.operand(1).shape[1]), outputs_(s.operand(1).shape[0]) {
    name = cat("cpu:half ", loops_->name);
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
    if (left >= kOutputs) return avx512_half::dots<kOutputs>(x, w, depth_, y);
    for (int64_t o = 0; o < left; ++o) avx512_half::dots<1>(x, w + o * depth_, depth_, y + o);
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
  Finish finish_;
  int64_t rows_, depth_, outputs_;
};

PlanPtr plan_half_linear(const Site& s) {
  if (loops().lanes != 16 || !loops().has_unary(s.attrs<LinearAttrs>().epilogue.act)) return nullptr;
  for (const Meta& m : s.in)
    if (m.present() && !lies_as(m, Memory::contiguous)) return nullptr;
  return std::make_shared<HalfLinear>(s);
}

constexpr Kernel table[] = {{&ops::half_linear, plan_half_linear}};

}  // namespace

std::span<const Kernel> half_linear_kernels() { return table; }

}  // namespace fovea::kernels::cpu
