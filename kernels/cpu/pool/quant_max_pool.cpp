// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pool/quant_max_pool.cpp — largest values in windows of channels-last u8 images.
#include <cstring>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

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
  const bool flat = s.operand(0).rank() == 4 && is_last(s.operand(0)) && is_last(s.result());
  return flat ? std::make_shared<MaxPlan>(s) : nullptr;
}

constexpr Kernel table[] = {{&ops::quant_max_pool, plan_max}};

}  // namespace

std::span<const Kernel> quant_max_pool_kernels() { return table; }

}  // namespace fovea::kernels::cpu
