// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/depthwise.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/depthwise_rows.h"

namespace fovea::kernels::cpu {
namespace {

class DepthwiseConv final : public ChannelsLastConv {
 public:
  explicit DepthwiseConv(const Site& s) : ChannelsLastConv(s) {
    w_step_ = depthwise_step(shape, *on->f32);
    zeros_.assign(static_cast<size_t>(DepthwiseRows<float>::chunk(shape)), 0.f);
    reserve_weights();
    name = str_cat("cpu:depthwise ", on->f32->name);
  }

  size_t weight_bytes() const override { return static_cast<size_t>(shape.taps() * w_step_) * sizeof(float); }
  void pack_weights(const float* w, float* to) const override {
    const Unpacked u = unpacked(w);
    pack_depthwise(shape, w, u.column, u.taps[1], u.taps[2], to, w_step_, [](float v) { return v; });
  }

  void run_last(const Run& r) const override {
    DepthwiseRows<float>{shape, *on, finish, w_step_, zeros_.data(), r.x, r.w, r.bias, r.residual, r.y}.run();
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
