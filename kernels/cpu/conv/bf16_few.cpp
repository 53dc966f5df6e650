// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/bf16_few.cpp — convolutions of bf16 images with few channels: pairs are neighbours in a row of the
// image.
#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/few_rows.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16FewConv final : public ChannelsLastConv<bfloat16> {
 public:
  explicit Bf16FewConv(const Site& s)
      : ChannelsLastConv<bfloat16>(s, false), layout_(shape, s.operand(0), *on->f32),
        packing_(pair_packing(1, shape.outputs, layout_.taps(shape), layout_.depth(shape))) {
    reserve_weights(s, packing_.bytes());
    name = str_cat("cpu:few ", on->bf16->name);
  }

  void pack_weights(const bfloat16* w, std::byte* to) const override {
    const int n = weights.rank() - 2;
    const int64_t channel = weights.strides[1], across = weights.strides[n + 1], down = n > 1 ? weights.strides[n] : 0;
    UnpackedBf16 u{.w = w, .column = weights.strides[0], .depth = channel, .taps = {0, down, across},
                   .sizes = {1, shape.kernel[1], 1}, .elements = layout_.depth(shape), .inner = layout_.each};
    if (layout_.planes > 1) {
      u.taps[0] = down;
      u.taps[1] = channel;
      u.sizes[0] = shape.kernel[1];
      u.sizes[1] = layout_.planes;
    }
    pack_pairs(packing_, u, pairs(to));
  }

  void run_last(const Run& r) const override {
    FewRows<bfloat16>{shape, layout_, packing_, finish, *on, on->bf16->stepped_tile, r.x, pairs(r.w), r.bias,
                      r.y}
        .run();
  }

 private:
  FewLayout layout_;
  Packing packing_;
};

}  // namespace

PlanPtr plan_bf16_few(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!s.is_constant(1) || a.epilogue.residual || !processor().bf16) return nullptr;
  const ConvShape shape(a, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  // Of many taps, tiles of AMX have the products many times sooner than they need to gather the rows.
  constexpr int64_t kMostForTiles = 64;
  if (processor().bf16_tiles->speed > 1 && shape.taps() * shape.channels > kMostForTiles) return nullptr;
  return FewLayout::possible(shape) ? std::make_shared<Bf16FewConv>(s) : nullptr;
}

}  // namespace fovea::kernels::cpu
