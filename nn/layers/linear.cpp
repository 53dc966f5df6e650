// SPDX-License-Identifier: Apache-2.0
// nn/layers/linear.cpp — a thin layer over the op.
#include "nn/layers/linear.h"

#include "engine/ops/ops.h"
#include "nn/layers/conv.h"

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

std::unique_ptr<Module> channel_linear(int in, int out, bool channels_first, bool with_bias) {
  if (channels_first) return std::make_unique<Conv2d>(in, out, 1, Conv2dOptions{.bias = with_bias});
  return std::make_unique<Linear>(in, out, with_bias);
}

}  // namespace fovea
