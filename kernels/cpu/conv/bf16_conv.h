// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/bf16_conv.h — what convolutions in bf16 share: channels-last images inside, packed weights, bias in
// f32.
#pragma once
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/product/bf16_product.h"

namespace fovea::kernels::cpu {

class Bf16ChannelsLastConv : public Plan {
 public:
  explicit Bf16ChannelsLastConv(const Site& s, bool turns_x = true);   // false: x stays as it lies
  void run(const Args& a, Stream& s) const final;
  size_t packed_bytes(int operand) const final { return operands_.packed_bytes(operand); }
  void pack(int operand, const std::byte* in, std::byte* out) const final;

 protected:
  struct Run {
    const bfloat16* x;
    const std::byte* w;                            // packed
    const float* bias;                             // may be null
    const bfloat16* residual;                      // may be null
    bfloat16* y;
    std::byte* scratch;
  };
  virtual void pack_weights(const bfloat16* w, std::byte* to) const = 0;
  virtual void run_last(const Run& r) const = 0;   // x, residual and y channels-last

  size_t lend(int64_t bytes);                      // adds to scratch; where the bytes start
  void reserve_weights(const Site& s, size_t bytes) { operands_.reserve(s, bytes, scratch); }

  ConvShape shape;
  Meta weights;                                    // not packed
  Finish finish;

 private:
  const std::byte* turned(int64_t rows, int64_t columns, const std::byte* from, std::byte* to) const;

  Bf16Operands operands_;
  bool turn_x_ = false, turn_y_ = false;
  size_t x_at_ = 0, y_at_ = 0, residual_at_ = 0;
  int residual_operand_ = -1;
};

// null where others must do it
PlanPtr plan_bf16_depthwise(const Site& s);        // bf16_depthwise.cpp
PlanPtr plan_bf16_few(const Site& s);              // bf16_few.cpp

}  // namespace fovea::kernels::cpu
