// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/reduce/bf16_softmax.cpp — softmax of bf16 along the last axis: computed in f32, rounded once.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// Rows of adjacent elements, each widened as a whole.
template <bool Log>
class Softmax final : public Plan {
 public:
  explicit Softmax(const Site& s)
      : size_(s.operand(0).shape.back()), rows_(size_ ? s.operand(0).numel() / size_ : 0) {
    name = str_cat("cpu:", set_->name, " bf16");
  }
  void run(const Args& a, Stream&) const override {
    const bfloat16* const x = halves(a.in[0]);
    bfloat16* const y = halves(a.out[0]);
    parallel_for(rows_, std::max<int64_t>(1, 8192 / (size_ + 1)), [&](int64_t first, int64_t last) {
      const ThreadArray<float> lent(static_cast<size_t>(2 * size_));
      float *const wide = lent.data(), *const results = wide + size_;
      for (int64_t r = first; r < last; ++r) {
        set_->from_bf16(x + r * size_, wide, size_);
        set_->softmax(wide, results, size_, Log);
        set_->to_bf16(results, y + r * size_, size_);
      }
    });
  }

 private:
  int64_t size_, rows_;
  const Loops* set_ = &loops();
};
template <bool Log>
PlanPtr plan_softmax(const Site& s) {
  const Meta& x = s.operand(0);
  if (!all_bf16(s) || x.rank() == 0 || s.attrs<AxisAttrs>().dim != x.rank() - 1) return nullptr;
  if (!lies_as(x, Memory::contiguous) || !lies_as(s.result(), Memory::contiguous)) return nullptr;
  return std::make_shared<Softmax<Log>>(s);
}

constexpr Kernel table[] = {{&ops::softmax, plan_softmax<false>}, {&ops::log_softmax, plan_softmax<true>}};

}  // namespace

std::span<const Kernel> bf16_softmax_kernels() { return table; }

}  // namespace fovea::kernels::cpu
