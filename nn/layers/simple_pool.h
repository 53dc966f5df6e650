// SPDX-License-Identifier: Apache-2.0
// nn/layers/simple_pool.h — the mean looks at what it is the mean of: SimPool, https://arxiv.org/abs/2309.06891.
#pragma once
#include "nn/layers/linear.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea {

struct SimplePoolOptions {
  int heads = 1;
  bool qkv_bias = false, qk_norm = false;
  double gamma = 0;                                // not 0: values are averaged as powers
  TokenNorm norm{.eps = 1e-5};
};

/// From N,C,H,W or [N, L, C] to [N, C]: timm's SimPool2d and SimPool1d. Throws Error(argument) when the heads do not
/// divide the channels.
class SimplePool final : public Module {
 public:
  explicit SimplePool(int channels, const SimplePoolOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  int heads_;
  double gamma_;
  Ref<Module> norm_;
  Ref<Linear> q_, k_;
  Maybe<Module> q_norm_, k_norm_;
};

}  // namespace fovea
