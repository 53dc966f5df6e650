// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/quant_pointwise.cpp — into u8 and back, gates, means and largest values of channels-last u8
// images.
#include <algorithm>
#include <cstring>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

const uint8_t* bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
uint8_t* bytes(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }

bool dense(const Meta& x, const Meta& y) {
  return (x.is_contiguous() || x.is_channels_last()) && lies_as(y, x.memory());
}
bool last(const Meta& m) { return m.rank() >= 3 && m.rank() <= 5 && lies_as(m, Memory::channels_last); }
int64_t places_of(const Meta& m) { return m.numel() / std::max<int64_t>(1, m.shape[0] * m.shape[1]); }

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
  return last(s.operand(0)) && last(s.result()) ? std::make_shared<QuantizeFinePlan>(s) : nullptr;
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
  return last(s.operand(0)) && last(s.result()) && flat ? std::make_shared<GatePlan>(s) : nullptr;
}

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
  if (!last(s.operand(0)) || places_of(s.operand(0)) > (int64_t{1} << 23)) return nullptr;
  return std::make_shared<MeanPlan>(s);
}

class MaxPlan final : public Plan {
 public:
  explicit MaxPlan(const Site& s)
      : shape_(window(s), s.operand(0).shape, weights(s), s.result().shape), loops_(processor().u8) {
    name = str_cat("cpu:", loops_->name);
  }
  void run(const Args& a, Stream&) const override {
    parallel_for(shape_.batch * shape_.out[1], 16384 / (shape_.out[2] * shape_.channels + 1) + 1,
                 [&](int64_t first, int64_t end) {
                   for (int64_t i = first; i < end; ++i) row(a, i / shape_.out[1], i % shape_.out[1]);
                 });
  }

 private:
  // A pool's windows are those of a convolution with this kernel.
  static ConvAttrs window(const Site& s) {
    const auto& p = s.attrs<PoolAttrs>();
    ConvAttrs a;
    a.stride = p.stride;
    a.dilation = p.dilation;
    a.pad_lo = p.pad_lo;
    a.pad_hi = p.pad_hi;
    return a;
  }
  static Shape weights(const Site& s) {
    Shape w{1, 1};
    for (int64_t k : s.attrs<PoolAttrs>().kernel) w.push_back(k);
    return w;
  }

  void row(const Args& a, int64_t image, int64_t oy) const {
    const ConvShape& s = shape_;
    uint8_t* y = bytes(a.out[0]) + (image * s.out[1] + oy) * s.out[2] * s.channels;
    for (int64_t ox = 0; ox < s.out[2]; ++ox, y += s.channels) {
      std::memset(y, 0, static_cast<size_t>(s.channels));
      for (int64_t ky = 0; ky < s.kernel[1]; ++ky)
        for (int64_t kx = 0; kx < s.kernel[2]; ++kx) {
          const int64_t v = oy * s.stride[1] - s.pad[1] + ky * s.dilation[1];
          const int64_t u = ox * s.stride[2] - s.pad[2] + kx * s.dilation[2];
          if (v < 0 || v >= s.in[1] || u < 0 || u >= s.in[2]) continue;
          loops_->largest(bytes(a.in[0]) + ((image * s.in[1] + v) * s.in[2] + u) * s.channels, y, s.channels);
        }
    }
  }

  ConvShape shape_;
  const QuantLoops* loops_;
};
PlanPtr plan_max(const Site& s) {
  const bool flat = s.operand(0).rank() == 4 && last(s.operand(0)) && last(s.result());
  return flat ? std::make_shared<MaxPlan>(s) : nullptr;
}

constexpr Kernel table[] = {
    {&ops::quantize, plan_quantize<false>}, {&ops::dequantize, plan_quantize<true>},
    {&ops::quantize_fine, plan_quantize_fine},
    {&ops::quant_gate, plan_gate},          {&ops::quant_mean, plan_mean},
    {&ops::quant_max_pool, plan_max},
};

}  // namespace

std::span<const Kernel> quant_pointwise_kernels() { return table; }

}  // namespace fovea::kernels::cpu
