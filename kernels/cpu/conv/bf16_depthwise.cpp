// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/bf16_depthwise.cpp — depthwise convolutions of bf16 images, summed in f32: by pairs of taps where
// the processor multiplies those.
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/depthwise_rows.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16DepthwiseConv final : public ChannelsLastConv<bfloat16> {
 public:
  explicit Bf16DepthwiseConv(const Site& s) : ChannelsLastConv<bfloat16>(s) {
    pairs_ = DepthwisePairs::possible_bf16(shape);
    w_step_ = pairs_ ? DepthwisePairs::channel_pairs(shape) : depthwise_step(shape, *on->f32);
    zeros_.assign(static_cast<size_t>(DepthwiseRows<bfloat16>::chunk(shape)), bfloat16{});
    const int64_t elements = pairs_ ? DepthwisePairs::pairs(shape) : shape.taps() * w_step_;
    reserve_weights(s, static_cast<size_t>(elements) * sizeof(float));
    name = pairs_ ? str_cat("cpu:depthwise ", on->bf16->name) : str_cat("cpu:depthwise ", on->f32->name, " bf16");
  }

  void pack_weights(const bfloat16* w, std::byte* out) const override {
    const int n = weights.rank() - 2;
    const int64_t across = weights.strides[n + 1], down = n > 1 ? weights.strides[n] : 0;
    if (pairs_) return DepthwisePairs::pack(shape, w, weights.strides[0], down, across, pairs(out));
    pack_depthwise(shape, w, weights.strides[0], down, across, floats(out), w_step_,
                   [](bfloat16 v) { return to_float(v); });
  }

  void run_last(const Run& r) const override {
    DepthwiseRows<bfloat16>{.shape = shape,
                            .on = *on,
                            .finish = finish,
                            .w_step = w_step_,
                            .zeros = zeros_.data(),
                            .x = r.x,
                            .w = floats(r.w),
                            .bias = r.bias,
                            .residual = r.residual,
                            .y = r.y,
                            .pairs = pairs_}
        .run();
  }

 private:
  bool pairs_;
  int64_t w_step_;
  std::vector<bfloat16> zeros_;
};

}  // namespace

PlanPtr plan_bf16_depthwise(const Site& s) {
  const ConvShape shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape);
  return DepthwiseRows<bfloat16>::possible(shape) ? std::make_shared<Bf16DepthwiseConv>(s) : nullptr;
}

}  // namespace fovea::kernels::cpu
