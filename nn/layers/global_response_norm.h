// SPDX-License-Identifier: Apache-2.0
// nn/layers/global_response_norm.h — GlobalResponseNorm: channels compete by their energy over the whole map; and the
// MLP around it.
#pragma once
#include "nn/layers/act.h"
#include "nn/layers/drop.h"
#include "nn/module.h"

namespace fovea {

/// x + bias + weight x n, where n is the norm of x's channel over the map, relative to the mean of these norms.
/// https://arxiv.org/abs/2301.00808
class GlobalResponseNorm final : public Module {
 public:
  /// Of N,C,H,W, or else of N,H,W,C.
  explicit GlobalResponseNorm(int channels, bool channels_first = false, double eps = 1e-6);
  Tensor forward(const Tensor& x) override;
  Param weight, bias;

 private:
  bool channels_first_;
  double eps_;
};

struct GlobalResponseNormMlpOptions {
  int hidden = 0, out = 0;                         // 0: as many as come in
  Act act = act::gelu;
  bool bias = true;
  double drop = 0;
  bool channels_first = false;                     // N,C,H,W and 1x1 convolutions, not N,H,W,C and linear layers
};
class GlobalResponseNormMlp final : public Module {
 public:
  explicit GlobalResponseNormMlp(int in, const GlobalResponseNormMlpOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Ref<Module> fc1, fc2;
  Ref<GlobalResponseNorm> grn;

 private:
  Ref<Activation> act_;
  Ref<Dropout> drop1_, drop2_;
};

}  // namespace fovea
