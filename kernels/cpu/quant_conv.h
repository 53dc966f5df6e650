// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/quant_conv.h — what integer convolutions share: their numbers, how they end, packed weights.
#pragma once
#include "engine/ops/quant.h"
#include "kernels/cpu/conv_shape.h"
#include "kernels/cpu/quant_product.h"

namespace fovea::kernels::cpu {

/// Weights, scale and bias are constants and packed: operands 1, 2 and 3.
class QuantConvPlan : public Plan {
 public:
  explicit QuantConvPlan(const Site& s);

 protected:
  /// All but scale and bias.
  QuantFinish ends(const Args& a) const;

  ConvShape shape;
  QuantConvAttrs attrs;
  const Loops* set;
  const QuantLoops* quant;
  Epilogue map;                                    // what is left after a clamp
  bool has_residual;

 private:
  float lo_, hi_;
  bool hard_swish_ = false;
};

}  // namespace fovea::kernels::cpu
