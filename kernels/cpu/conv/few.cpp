// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/few.cpp — convolutions of images with few channels: the first ones of most networks.
#include <utility>

#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/few_rows.h"

namespace fovea::kernels::cpu {
namespace {

class FewConv final : public ChannelsLastConv<float> {
 public:
  explicit FewConv(const Site& s)
      : ChannelsLastConv(s, false), layout_(shape, s.operand(0), *on->f32),
        packing_(*on->f32, 1, shape.outputs, layout_.taps(shape), layout_.depth(shape)) {
    reserve_weights(s, packing_.bytes());
    name = str_cat("cpu:few ", on->f32->name);
  }

  void pack_weights(const float* w, std::byte* to) const override {
    Unpacked u = unpacked(weights, w);
    if (layout_.planes > 1) {
      u.taps[0] = std::exchange(u.taps[1], u.depth);
      u.sizes[0] = std::exchange(u.sizes[1], layout_.planes);
    }
    pack_columns(packing_, u, floats(to));
  }

  void run_last(const Run& r) const override {
    FewRows<float>{shape, layout_, packing_, finish, *on, on->f32->stepped_tile, r.x, floats(r.w), r.bias, r.y}.run();
  }

 private:
  FewLayout layout_;
  Packing packing_;
};

}  // namespace

// Weights that change, as in training, would be packed again in each run.
PlanPtr plan_few(const Site& s) {
  if (!s.is_constant(1)) return nullptr;
  const auto& a = s.attrs<ConvAttrs>();
  const ConvShape shape(a, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  return !a.epilogue.residual && FewLayout::possible(shape) ? std::make_shared<FewConv>(s) : nullptr;
}

}  // namespace fovea::kernels::cpu
