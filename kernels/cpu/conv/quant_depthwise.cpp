// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_depthwise.cpp — depthwise convolutions that read or write u8, summed in f32 or, by pairs of
// taps where the processor multiplies those, exactly: they move more than they compute, so that bytes are what counts.
#include <vector>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/conv/depthwise_rows.h"

namespace fovea::kernels::cpu {
namespace {

template <class T, class Out>
class QuantDepthwise final : public Plan {
 public:
  explicit QuantDepthwise(const Site& s)
      : attrs_(s.attrs<QuantConvAttrs>()),
        shape_(attrs_.conv, s.operand(0).shape, s.operand(1).shape, s.result().shape), on_(&processor()),
        finish_(attrs_.conv.epilogue), pairs_(attrs_.x && DepthwisePairs::possible_u8(shape_)),
        w_step_(pairs_ ? DepthwisePairs::channel_pairs(shape_) : depthwise_step(shape_, *on_->f32)) {
    outside_.assign(static_cast<size_t>(DepthwiseRows<T, Out>::chunk(shape_)), static_cast<T>(attrs_.x.zero));
    name = str_cat("cpu:depthwise ", pairs_ ? on_->u8->name : on_->f32->name, attrs_.x ? " u8" : " f32",
                   attrs_.y ? " to u8" : " to f32");
  }

  size_t packed_bytes(int operand) const override {
    if (operand != 1) return 0;
    const int64_t elements = pairs_ ? DepthwisePairs::pairs_and_scales(shape_) : shape_.taps() * w_step_;
    return static_cast<size_t>(elements) * sizeof(float);
  }
  void pack(int, const std::byte* in, std::byte* out) const override {
    if (pairs_) return DepthwisePairs::pack(shape_, floats(in), pairs(out));
    pack_depthwise(shape_, floats(in), shape_.taps(), shape_.kernel[2], 1, floats(out), w_step_,
                   [](float v) { return v; });
  }

  void run(const Args& a, Stream&) const override {
    DepthwiseRows<T, Out>{.shape = shape_,
                          .on = *on_,
                          .finish = finish_,
                          .w_step = w_step_,
                          .zeros = outside_.data(),
                          .x = reinterpret_cast<const T*>(a.in[0]),
                          .w = floats(a.in[1]),
                          .bias = floats(a.in[2]),
                          .residual = nullptr,
                          .y = reinterpret_cast<Out*>(a.out[0]),
                          .inverse = attrs_.y ? 1 / attrs_.y.scale : 0,
                          .zero = static_cast<float>(attrs_.y.zero),
                          .pairs = pairs_,
                          .scale = pairs_ ? floats(a.in[1]) + DepthwisePairs::pairs(shape_) : nullptr}
        .run();
  }

 private:
  QuantConvAttrs attrs_;
  ConvShape shape_;
  const Processor* on_;
  Finish finish_;
  bool pairs_;
  int64_t w_step_;
  std::vector<T> outside_;
};

PlanPtr plan_quant_depthwise(const Site& s) {
  const auto& a = s.attrs<QuantConvAttrs>();
  const ConvShape shape(a.conv, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  if (!DepthwiseRows<float>::possible(shape) || !loops().has_unary(a.conv.epilogue.act)) return nullptr;
  if (!s.is_constant(1) || !s.operand(1).is_contiguous() || !s.operand(2).is_contiguous()) return nullptr;
  if (!lies_as(s.operand(0), Memory::channels_last) || !lies_as(s.result(), Memory::channels_last)) return nullptr;
  if (a.x && a.y) return std::make_shared<QuantDepthwise<uint8_t, uint8_t>>(s);
  if (a.x) return std::make_shared<QuantDepthwise<uint8_t, float>>(s);
  if (a.y) return std::make_shared<QuantDepthwise<float, uint8_t>>(s);
  return nullptr;
}

constexpr Kernel table[] = {{&ops::quant_depthwise, plan_quant_depthwise}};

}  // namespace

std::span<const Kernel> quant_depthwise_kernels() { return table; }

}  // namespace fovea::kernels::cpu
