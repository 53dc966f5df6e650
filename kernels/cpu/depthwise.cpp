// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/depthwise.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv.h"
#include "kernels/cpu/depthwise_rows.h"

namespace fovea::kernels::cpu {
namespace {

class DepthwiseConv final : public LastConv {
 public:
  explicit DepthwiseConv(const Site& s) : LastConv(s) {
    w_step_ = (shape.channels + set->lanes - 1) / set->lanes * set->lanes;
    zeros_.assign(static_cast<size_t>(DepthwiseRows<float>::chunk(shape)), 0.f);
    reserve_weights();
    name = cat("cpu:depthwise ", set->name);
  }

  size_t weight_bytes() const override { return static_cast<size_t>(shape.taps() * w_step_) * sizeof(float); }
  void pack_weights(const float* w, float* to) const override {
    const Unpacked u = unpacked(w);
    std::fill_n(to, shape.taps() * w_step_, 0.f);
    for (int64_t y = 0; y < shape.kernel[1]; ++y)
      for (int64_t x = 0; x < shape.kernel[2]; ++x, to += w_step_)
        for (int64_t c = 0; c < shape.channels; ++c) to[c] = w[c * u.column + y * u.taps[1] + x * u.taps[2]];
  }

  void run_last(const Run& r) const override {
    DepthwiseRows<float>{shape, *set, finish, w_step_, zeros_.data(), r.x, r.w, r.bias, r.residual, r.y}.run();
  }

 private:
  int64_t w_step_;
  std::vector<float> zeros_;
};

}  // namespace

PlanPtr plan_depthwise(const Site& s) {
  const ConvShape shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape);
  return DepthwiseRows<float>::possible(shape) ? std::make_shared<DepthwiseConv>(s) : nullptr;
}

}  // namespace fovea::kernels::cpu
