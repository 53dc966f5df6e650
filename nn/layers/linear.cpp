// SPDX-License-Identifier: Apache-2.0
// nn/layers/linear.cpp — a thin layer over the op.
#include "nn/layers/linear.h"

#include "engine/ops/ops.h"

namespace fovea {

Linear::Linear(int in, int out, bool with_bias) {
  weight = param("weight", {out, in}, init::torch_default(in));
  if (with_bias) bias = param("bias", {out}, init::torch_default(in));
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }

void Linear::resize(int in, int out) {
  weight.set(meta_tensor(make_meta(weight->dtype(), {out, in})));
  if (bias) bias.set(meta_tensor(make_meta(bias->dtype(), {out})));
}

}  // namespace fovea
