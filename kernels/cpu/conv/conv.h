// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/conv.h — what our own convolutions share: channels-last images inside, packed weights.
#pragma once
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

class ChannelsLastConv : public Plan {
 public:
  explicit ChannelsLastConv(const Site& s, bool turns_x = true);   // false: x stays as it lies
  void run(const Args& a, Stream& s) const final;
  size_t packed_bytes(int operand) const final;
  void pack(int operand, const std::byte* in, std::byte* out) const final;

 protected:
  struct Run {
    const float *x, *w, *bias, *residual;          // w packed; bias and residual may be null
    float* y;
    std::byte* scratch;
  };
  virtual size_t weight_bytes() const = 0;
  virtual void pack_weights(const float* w, float* to) const = 0;
  virtual void run_last(const Run& r) const = 0;   // x, residual and y channels-last

  size_t lend(int64_t bytes);                      // adds to scratch; where the bytes start
  void reserve_weights();                          // call once weight_bytes() is known
  Unpacked unpacked(const float* w) const;

  ConvShape shape;
  const Processor* on;
  Finish finish;

 private:
  Shape w_shape_;
  Strides w_strides_;
  bool packed_ = false, turn_x_ = false, turn_y_ = false;
  size_t x_at_ = 0, y_at_ = 0, residual_at_ = 0, w_at_ = 0;
  int residual_operand_ = -1;
};

}  // namespace fovea::kernels::cpu
