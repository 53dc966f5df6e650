// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/quant_pointwise.cpp — into u8 and back, gates, means and largest values of channels-last u8
// images.
#include <algorithm>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

bool dense(const Meta& x, const Meta& y) {
  return (x.is_contiguous() || x.is_channels_last()) && lies_as(y, x.memory());
}

class QuantizePlan final : public Plan {
 public:
  QuantizePlan(const Site& s, bool back)
      : quant_(s.attrs<QuantAttrs>().quant), loops_(processor().u8), n_(s.operand(0).numel()), back_(back) {
    name = str_cat("cpu:", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    const auto zero = static_cast<float>(quant_.zero);
    parallel_for(n_, 32768, [&](int64_t first, int64_t end) {
      if (back_)
        loops_->dequantize(bytes(a.in[0]) + first, quant_.scale, -zero * quant_.scale, floats(a.out[0]) + first,
                           end - first);
      else
        loops_->quantize(floats(a.in[0]) + first, 1 / quant_.scale, zero, bytes(a.out[0]) + first, end - first);
    });
  }

 private:
  Quant quant_;
  const QuantLoops* loops_;
  int64_t n_;
  bool back_;
};

template <bool back>
PlanPtr plan_quantize(const Site& s) {
  return dense(s.operand(0), s.result()) ? std::make_shared<QuantizePlan>(s, back) : nullptr;
}

class QuantizeFinePlan final : public Plan {
 public:
  explicit QuantizeFinePlan(const Site& s)
      : quant_(s.attrs<QuantAttrs>().quant), loops_(processor().u8), channels_(s.operand(0).shape[1]),
        rows_(s.operand(0).numel() / std::max<int64_t>(1, channels_)) {
    name = str_cat("cpu:", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    parallel_for(rows_, 32768 / (channels_ + 1) + 1, [&](int64_t first, int64_t end) {
      for (int64_t r = first; r < end; ++r) {
        uint8_t* const y = bytes(a.out[0]) + 2 * r * channels_;
        loops_->quantize_fine(floats(a.in[0]) + r * channels_, 16 / quant_.scale, static_cast<float>(16 * quant_.zero),
                              y, y + channels_, channels_);
      }
    });
  }

 private:
  Quant quant_;
  const QuantLoops* loops_;
  int64_t channels_, rows_;
};
PlanPtr plan_quantize_fine(const Site& s) {
  return is_last(s.operand(0)) && is_last(s.result()) ? std::make_shared<QuantizeFinePlan>(s) : nullptr;
}

class GatePlan final : public Plan {
 public:
  explicit GatePlan(const Site& s)
      : attrs_(s.attrs<QuantGateAttrs>()), loops_(processor().u8), channels_(s.operand(0).shape[1]),
        places_(places_of(s.operand(0))), rows_(s.operand(0).shape[0] * places_) {
    name = str_cat("cpu:", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    parallel_for(rows_, 16384 / channels_ + 1, [&](int64_t first, int64_t end) {
      for (int64_t r = first, image = first / places_; r < end; ++image) {
        const int64_t rows = std::min(end, (image + 1) * places_) - r;
        loops_->gate(bytes(a.in[0]) + r * channels_, rows, static_cast<float>(attrs_.x.zero),
                     floats(a.in[1]) + image * channels_, attrs_.x.scale / attrs_.y.scale,
                     static_cast<float>(attrs_.y.zero), bytes(a.out[0]) + r * channels_, channels_);
        r += rows;
      }
    });
  }

 private:
  QuantGateAttrs attrs_;
  const QuantLoops* loops_;
  int64_t channels_, places_, rows_;
};
PlanPtr plan_gate(const Site& s) {
  const Meta& gate = s.operand(1);
  const bool flat = gate.is_contiguous() || lies_as(gate, Memory::channels_last);
  return is_last(s.operand(0)) && is_last(s.result()) && flat ? std::make_shared<GatePlan>(s) : nullptr;
}

constexpr Kernel table[] = {
    {&ops::quantize, plan_quantize<false>},
    {&ops::dequantize, plan_quantize<true>},
    {&ops::quantize_fine, plan_quantize_fine},
    {&ops::quant_gate, plan_gate},
};

}  // namespace

std::span<const Kernel> quant_pointwise_kernels() { return table; }

}  // namespace fovea::kernels::cpu
