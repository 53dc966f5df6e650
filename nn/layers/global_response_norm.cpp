// SPDX-License-Identifier: Apache-2.0
// nn/layers/global_response_norm.cpp — GlobalResponseNorm and its MLP.
#include "nn/layers/global_response_norm.h"

#include "engine/ops/ops.h"
#include "nn/layers/linear.h"

namespace fovea {

GlobalResponseNorm::GlobalResponseNorm(int channels, bool channels_first, double eps)
    : channels_first_(channels_first), eps_(eps) {
  weight = param("weight", {channels}, init::zeros());
  bias = param("bias", {channels}, init::zeros());
}

Tensor GlobalResponseNorm::forward(const Tensor& x) {
  const Shape along = channels_first_ ? Shape{1, -1, 1, 1} : Shape{1, 1, 1, -1};
  const Tensor energy = norm(x, channels_first_ ? Dims{2, 3} : Dims{1, 2}, keep_dims);
  const Tensor share = energy / (mean(energy, {channels_first_ ? 1 : 3}, keep_dims) + eps_);
  return x + (reshape(bias, along) + reshape(weight, along) * (x * share));
}

GlobalResponseNormMlp::GlobalResponseNormMlp(int in, const GlobalResponseNormMlpOptions& o) {
  const int hidden = o.hidden ? o.hidden : in, out = o.out ? o.out : in;
  fc1 = add("fc1", channel_linear(in, hidden, o.channels_first, o.bias));
  act_ = add("act", Activation(o.act));
  drop1_ = add("drop1", Dropout(o.drop));
  grn = add("grn", GlobalResponseNorm(hidden, o.channels_first));
  fc2 = add("fc2", channel_linear(hidden, out, o.channels_first, o.bias));
  drop2_ = add("drop2", Dropout(o.drop));
}
Tensor GlobalResponseNormMlp::forward(const Tensor& x) { return drop2_(fc2(grn(drop1_(act_(fc1(x)))))); }

}  // namespace fovea
