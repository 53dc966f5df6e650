// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/channels_last.h — what our own convolutions share: channels-last images inside, packed weights, bias
// in f32.
#pragma once
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/operands.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

/// T: float or bfloat16.
template <class T>
class ChannelsLastConv : public Plan {
 public:
  explicit ChannelsLastConv(const Site& s, bool turns_x = true);   // false: x stays as it lies
  void run(const Args& a, Stream& s) const final;
  size_t packed_bytes(int operand) const final { return operands_.packed_bytes(operand); }
  void pack(int operand, const std::byte* in, std::byte* out) const final;

 protected:
  struct Run {
    const T* x;
    const std::byte* w;                            // packed
    const float* bias;                             // may be null
    const T* residual;                             // may be null
    T* y;
    std::byte* scratch;
  };
  virtual void pack_weights(const T* w, std::byte* to) const = 0;
  virtual void run_last(const Run& r) const = 0;   // x, residual and y channels-last

  size_t lend(int64_t bytes);                      // adds to scratch; where the bytes start
  void reserve_weights(const Site& s, size_t bytes) { operands_.reserve(s, bytes, scratch); }

  ConvShape shape;
  Meta weights;                                    // not packed
  const Processor* on;
  Finish finish;

 private:
  const T* turned(int64_t rows, int64_t columns, const T* from, std::byte* to) const;

  Operands<T> operands_;
  bool turn_x_ = false, turn_y_ = false;
  size_t x_at_ = 0, y_at_ = 0, residual_at_ = 0;
  int residual_operand_ = -1;
};

extern template class ChannelsLastConv<float>;
extern template class ChannelsLastConv<bfloat16>;

/// How weights lie that are not packed, with one and two spatial dimensions written as three.
Unpacked unpacked(const Meta& weights, const float* w);

/// Are x, the result and a residual in an order that ChannelsLastConv reads or turns?
bool in_known_orders(const Site& s);

// null where others must do it
/// The best of these for f32. Strides of weights may be negative.
PlanPtr plan_conv(const Site& s);                  // conv.cpp
PlanPtr plan_depthwise(const Site& s);             // depthwise.cpp
PlanPtr plan_few(const Site& s);                   // few.cpp
PlanPtr plan_winograd(const Site& s);              // winograd.cpp
PlanPtr plan_bf16_depthwise(const Site& s);        // bf16_depthwise.cpp
PlanPtr plan_bf16_few(const Site& s);              // bf16_few.cpp

}  // namespace fovea::kernels::cpu
