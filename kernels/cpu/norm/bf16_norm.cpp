// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/norm/bf16_norm.cpp — batch norm with given statistics, and layer norm, of bf16: widened in registers,
// computed in f32, rounded once.
#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// x and y in bf16, dense rows alike; what follows x in f32, as the precision pass leaves it.
bool is_norm_of_bf16(const Site& s, Memory order) {
  if (s.operand(0).dtype != DType::bf16 || s.result().dtype != DType::bf16) return false;
  if (!lies_as(s.operand(0), order) || !lies_as(s.result(), order)) return false;
  for (int i = 1; i < static_cast<int>(s.in.size()); ++i)
    if (s.has(i) && (s.operand(i).dtype != DType::f32 || !lies_as(s.operand(i), Memory::contiguous))) return false;
  return true;
}

class BatchNormEval final : public Plan {
 public:
  explicit BatchNormEval(const Site& s)
      : eps_(s.attrs<NormAttrs>().eps), channels_(s.operand(0).shape[1]), rows_(s.operand(0).numel() / channels_) {
    name = str_cat("cpu:", set_->name, " bf16");
    scratch = 2 * aligned(static_cast<size_t>(channels_) * sizeof(float));
  }
  void run(const Args& a, Stream&) const override {
    const float *w = floats(a.in[1]), *b = floats(a.in[2]), *mean = floats(a.in[3]), *var = floats(a.in[4]);
    float *gain = floats(a.scratch), *shift = floats(a.scratch + scratch / 2);
    for (int64_t c = 0; c < channels_; ++c) {
      const double g = (w ? static_cast<double>(w[c]) : 1.0) /
                       std::sqrt(static_cast<double>(var[c]) + static_cast<double>(eps_));
      gain[c] = static_cast<float>(g);
      shift[c] = static_cast<float>((b ? static_cast<double>(b[c]) : 0.0) - static_cast<double>(mean[c]) * g);
    }
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    parallel_for(rows_, std::max<int64_t>(1, 16384 / channels_), [&](int64_t first, int64_t last) {
      set_->channel_rows_bf16({.x = x + first * channels_,
                              .gain = gain,
                              .shift = shift,
                              .y = y + first * channels_,
                              .x_step = channels_,
                              .y_step = channels_,
                              .rows = last - first,
                              .channels = channels_});
    });
  }

 private:
  float eps_;
  int64_t channels_, rows_;
  const Loops* set_ = &loops();
};
PlanPtr plan_batch_norm_eval(const Site& s) {
  if (s.operand(0).rank() < 2 || s.operand(0).numel() == 0 || !is_norm_of_bf16(s, Memory::channels_last))
    return nullptr;
  return std::make_shared<BatchNormEval>(s);
}

struct LayerNorm final : Plan {
  LayerNorm(const Site& s, int64_t size)
      : size(size), rows(size ? s.operand(0).numel() / size : 0),
        eps(static_cast<double>(s.attrs<NormAttrs>().eps)) {
    name = str_cat("cpu:", set->name, " bf16");
  }
  void run(const Args& a, Stream&) const override {
    const float *w = floats(a.in[1]), *b = floats(a.in[2]);
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    parallel_for(rows, std::max<int64_t>(1, 8192 / (size + 1)), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) set->layer_norm_bf16(x + r * size, w, b, eps, y + r * size, size);
    });
  }
  int64_t size, rows;
  double eps;
  const Loops* set = &loops();
};
PlanPtr plan_layer_norm(const Site& s) {
  if (!is_norm_of_bf16(s, Memory::contiguous)) return nullptr;
  const Meta& x = s.operand(0);
  int64_t size = 1;
  for (int i = x.rank() - s.attrs<NormAttrs>().dims; i < x.rank(); ++i) size *= x.shape[i];
  return std::make_shared<LayerNorm>(s, size);
}

constexpr Kernel table[] = {{&ops::layer_norm, plan_layer_norm}, {&ops::batch_norm_eval, plan_batch_norm_eval}};

}  // namespace

std::span<const Kernel> bf16_norm_kernels() { return table; }

}  // namespace fovea::kernels::cpu
