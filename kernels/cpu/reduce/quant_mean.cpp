// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/reduce/quant_mean.cpp — means over the places of channels-last u8 images.
#include <algorithm>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

// Sums stay within 32 bits for up to eight million places.
class MeanPlan final : public Plan {
 public:
  explicit MeanPlan(const Site& s)
      : quant_(s.attrs<QuantAttrs>().quant), loops_(processor().u8), batch_(s.operand(0).shape[0]),
        channels_(s.operand(0).shape[1]), places_(places_of(s.operand(0))) {
    name = str_cat("cpu:", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    constexpr int64_t kBlock = 64;                 // channels
    const int64_t blocks = (channels_ + kBlock - 1) / kBlock;
    const float each = quant_.scale / static_cast<float>(places_);
    const auto shift = static_cast<int32_t>(quant_.zero * places_);
    parallel_for(batch_ * blocks, std::max<int64_t>(1, 65536 / (places_ * kBlock)), [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) {
        const int64_t image = i / blocks, from = i % blocks * kBlock;
        loops_->mean(bytes(a.in[0]) + image * places_ * channels_ + from, channels_, places_, shift, each,
                     floats(a.out[0]) + image * channels_ + from, std::min(kBlock, channels_ - from));
      }
    });
  }

 private:
  Quant quant_;
  const QuantLoops* loops_;
  int64_t batch_, channels_, places_;
};
PlanPtr plan_mean(const Site& s) {
  if (!is_last(s.operand(0)) || places_of(s.operand(0)) > (int64_t{1} << 23)) return nullptr;
  return std::make_shared<MeanPlan>(s);
}

constexpr Kernel table[] = {{&ops::quant_mean, plan_mean}};

}  // namespace

std::span<const Kernel> quant_mean_kernels() { return table; }

}  // namespace fovea::kernels::cpu
