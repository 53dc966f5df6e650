// SPDX-License-Identifier: Apache-2.0
// nn/layers/lstm.cpp — one product for the inputs of all steps and directions, and then the steps.
#include "nn/layers/lstm.h"

#include "engine/core/text.h"
#include "engine/ops/ops.h"
#include "engine/ops/recurrent.h"

namespace fovea {

Lstm::Lstm(int in, int hidden, const LstmOptions& o) {
  const Init values = init::torch_default(hidden);
  const int directions = o.bidirectional ? 2 : 1;
  for (int layer = 0; layer < o.layers; ++layer, in = directions * hidden) {
    layers_.emplace_back();
    for (int d = 0; d < directions; ++d) {
      const auto name = [&](const char* what) { return str_cat(what, "_l", layer, d ? "_reverse" : ""); };
      Weights w;
      w.ih = param(name("weight_ih"), {4 * hidden, in}, values);
      w.hh = param(name("weight_hh"), {4 * hidden, hidden}, values);
      if (o.bias) {
        w.ih_bias = param(name("bias_ih"), {4 * hidden}, values);
        w.hh_bias = param(name("bias_hh"), {4 * hidden}, values);
      }
      layers_.back().push_back(w);
    }
  }
}

Tensor Lstm::operator()(const Tensor& x, int dim) {
  const Scope scope(name());
  return run(x, dim);
}

Tensor Lstm::Weights::bias() const { return ih_bias ? *ih_bias + *hh_bias : Tensor(); }

Tensor Lstm::run(const Tensor& x, int dim) const {
  Tensor y = x;
  for (const std::vector<Weights>& w : layers_) {
    if (w.size() == 1) {
      y = lstm(linear(y, w[0].ih, w[0].bias()), unsqueeze(w[0].hh, 0), dim);
      continue;
    }
    const Tensor bias = w[0].ih_bias ? cat({w[0].bias(), w[1].bias()}, 0) : Tensor();
    y = lstm(linear(y, cat({w[0].ih, w[1].ih}, 0), bias), stack({w[0].hh, w[1].hh}, 0), dim);
  }
  return y;
}

}  // namespace fovea
