// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/bf16_rows.cpp — pointwise functions, norms and softmax of bf16: widened in registers or a row
// at a time, computed in f32, rounded once.
#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/walk.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

struct RowsPlan : Plan {
  RowsPlan() : set(&loops()) { name = str_cat("cpu:", set->name, " bf16"); }
  const Loops* set;
};

struct UnaryPlan final : RowsPlan {
  explicit UnaryPlan(const Site& s) : attrs(s.attrs<UnaryAttrs>()), walk({&s.result(), &s.operand(0)}) {}
  void run(const Args& a, Stream&) const override {
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    walk.each([&](const auto& at, int64_t n) { set->unary_bf16(attrs.fn, attrs.a, attrs.b, x + at[1], y + at[0], n); },
              4096);
  }
  UnaryAttrs attrs;
  Walk walk;
};
PlanPtr plan_unary(const Site& s) {
  if (!all_bf16(s) || !loops().has_unary(s.attrs<UnaryAttrs>().fn)) return nullptr;
  auto plan = std::make_shared<UnaryPlan>(s);
  return plan->walk.step(0) == 1 && plan->walk.step(1) == 1 ? plan : nullptr;
}

struct BinaryPlan final : RowsPlan {
  explicit BinaryPlan(const Site& s)
      : fn(s.attrs<BinaryAttrs>().fn), walk({&s.result(), &s.operand(0), &s.operand(1)}) {}
  void run(const Args& a, Stream&) const override {
    const bfloat16 *left = halves(a.in[0]), *right = halves(a.in[1]);
    bfloat16* const y = halves(a.out[0]);
    const int left_step = static_cast<int>(walk.step(1)), right_step = static_cast<int>(walk.step(2));
    walk.each([&](const auto& at, int64_t n) {
      set->binary_bf16(fn, left + at[1], left_step, right + at[2], right_step, y + at[0], n);
    });
  }
  Binary fn;
  Walk walk;
};
PlanPtr plan_binary(const Site& s) {
  if (!all_bf16(s) || !loops().has_binary(s.attrs<BinaryAttrs>().fn)) return nullptr;
  auto plan = std::make_shared<BinaryPlan>(s);
  return plan->walk.runs() ? plan : nullptr;
}

// x and y in bf16, dense rows alike; what follows x in f32, as the precision pass leaves it.
bool is_norm_of_bf16(const Site& s, Memory order) {
  if (s.operand(0).dtype != DType::bf16 || s.result().dtype != DType::bf16) return false;
  if (!lies_as(s.operand(0), order) || !lies_as(s.result(), order)) return false;
  for (int i = 1; i < static_cast<int>(s.in.size()); ++i)
    if (s.has(i) && (s.operand(i).dtype != DType::f32 || !lies_as(s.operand(i), Memory::contiguous))) return false;
  return true;
}

class BatchNormEval final : public RowsPlan {
 public:
  explicit BatchNormEval(const Site& s)
      : eps_(s.attrs<NormAttrs>().eps), channels_(s.operand(0).shape[1]), rows_(s.operand(0).numel() / channels_) {
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
      set->channel_rows_bf16({.x = x + first * channels_,
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
};
PlanPtr plan_batch_norm_eval(const Site& s) {
  if (s.operand(0).rank() < 2 || s.operand(0).numel() == 0 || !is_norm_of_bf16(s, Memory::channels_last))
    return nullptr;
  return std::make_shared<BatchNormEval>(s);
}

// Rows of `size` adjacent elements, each widened as a whole: f(row, results).
struct WholeRowsPlan : RowsPlan {
  explicit WholeRowsPlan(int64_t size, int64_t elements) : size(size), rows(size ? elements / size : 0) {}
  template <class F>
  void each(const Args& a, const F& f) const {
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    parallel_for(rows, std::max<int64_t>(1, 8192 / (size + 1)), [&](int64_t first, int64_t last) {
      const ThreadArray<float> lent(static_cast<size_t>(2 * size));
      float *const wide = lent.data(), *const results = wide + size;
      for (int64_t r = first; r < last; ++r) {
        set->from_bf16(x + r * size, wide, size);
        f(wide, results);
        set->to_bf16(results, y + r * size, size);
      }
    });
  }
  int64_t size, rows;
};

struct LayerNorm final : RowsPlan {
  LayerNorm(const Site& s, int64_t size)
      : size(size), rows(size ? s.operand(0).numel() / size : 0),
        eps(static_cast<double>(s.attrs<NormAttrs>().eps)) {}
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
};
PlanPtr plan_layer_norm(const Site& s) {
  if (!is_norm_of_bf16(s, Memory::contiguous)) return nullptr;
  const Meta& x = s.operand(0);
  int64_t size = 1;
  for (int i = x.rank() - s.attrs<NormAttrs>().dims; i < x.rank(); ++i) size *= x.shape[i];
  return std::make_shared<LayerNorm>(s, size);
}

template <bool Log>
struct Softmax final : WholeRowsPlan {
  explicit Softmax(const Site& s) : WholeRowsPlan(s.operand(0).shape.back(), s.operand(0).numel()) {}
  void run(const Args& a, Stream&) const override {
    each(a, [&](const float* row, float* results) { set->softmax(row, results, size, Log); });
  }
};
template <bool Log>
PlanPtr plan_softmax(const Site& s) {
  const Meta& x = s.operand(0);
  if (!all_bf16(s) || x.rank() == 0 || s.attrs<AxisAttrs>().dim != x.rank() - 1) return nullptr;
  if (!lies_as(x, Memory::contiguous) || !lies_as(s.result(), Memory::contiguous)) return nullptr;
  return std::make_shared<Softmax<Log>>(s);
}

constexpr Kernel table[] = {
    {&ops::unary, plan_unary},           {&ops::binary, plan_binary},
    {&ops::layer_norm, plan_layer_norm}, {&ops::batch_norm_eval, plan_batch_norm_eval},
    {&ops::softmax, plan_softmax<false>}, {&ops::log_softmax, plan_softmax<true>}};

}  // namespace

std::span<const Kernel> bf16_rows_kernels() { return table; }

}  // namespace fovea::kernels::cpu
