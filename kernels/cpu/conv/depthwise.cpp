// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise.cpp — convolutions in which every channel has its own filter.
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/depthwise_rows.h"

namespace fovea::kernels::cpu {
namespace {

class DepthwiseConv final : public ChannelsLastConv<float> {
 public:
  explicit DepthwiseConv(const Site& s) : ChannelsLastConv(s) {
    w_step_ = depthwise_step(shape, *on->f32);
    zeros_.assign(static_cast<size_t>(DepthwiseRows<float>::chunk(shape)), 0.f);
    reserve_weights(s, static_cast<size_t>(shape.taps() * w_step_) * sizeof(float));
    name = str_cat("cpu:depthwise ", on->f32->name);
  }

  void pack_weights(const float* w, std::byte* to) const override {
    const Unpacked u = unpacked(weights, w);
    pack_depthwise(shape, w, u.column, u.taps[1], u.taps[2], floats(to), w_step_, [](float v) { return v; });
  }

  void run_last(const Run& r) const override {
    DepthwiseRows<float>{shape, *on, finish, w_step_, zeros_.data(), r.x, floats(r.w), r.bias, r.residual, r.y}.run();
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
