// SPDX-License-Identifier: Apache-2.0
// nn/layers/linear.h — Linear: y = x w^T + b over the last dimension, and its twin for N,C,H,W.
#pragma once
#include <memory>

#include "nn/module.h"

namespace fovea {

class Linear final : public Module {
 public:
  Linear(int in, int out, bool with_bias = true);
  Tensor forward(const Tensor& x) override;
  int in_features() const { return static_cast<int>(weight->dim(1)); }
  int out_features() const { return static_cast<int>(weight->dim(0)); }
  void resize(int in, int out);                    // before there are bytes

  Param weight, bias;                              // [out, in]; [out]
};

/// Over the channels: a Linear where they are last, a 1x1 convolution on N,C,H,W.
std::unique_ptr<Module> channel_linear(int in, int out, bool channels_first, bool with_bias = true);

}  // namespace fovea
