// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_conv.h — what convolutions of u8 by s8 weights share: their numbers, and what becomes of sums.
#pragma once
#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/quant_product.h"

namespace fovea::kernels::cpu {

/// Weights, scale and bias are constants and packed: operands 1, 2 and 3. Images lie channels-last.
class QuantConv : public Plan {
 public:
  explicit QuantConv(const Site& s);

 protected:
  /// All but scale and bias.
  QuantFinish finish_of(const Args& a) const;
  /// A function that is more than QuantFinish does.
  Epilogue map() const { return finish.map && !hard_swish_ ? attrs.conv.epilogue : Epilogue{}; }

  QuantConvAttrs attrs;
  ConvShape shape;
  const Processor* on;
  Finish finish;

 private:
  bool has_residual_, hard_swish_;
};

/// Null unless this processor's kernels are faster so; the caller has looked at all that QuantConv wants.
PlanPtr plan_quant_winograd(const Site& s);

}  // namespace fovea::kernels::cpu
