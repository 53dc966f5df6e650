// SPDX-License-Identifier: Apache-2.0
// nn/layers/evo_norm.h — norms that are their own activations, found by evolution: https://arxiv.org/abs/2004.02967
#pragma once
#include "nn/module.h"

namespace fovea {

/// Over N,C,H,W: x / max(batch's standard deviation, something of each sample). Trains with the batch's own variance
/// and keeps a running, unbiased one for eval mode.
class EvoNorm2dB final : public Module {
 public:
  enum class Kind : uint8_t {
    b0,  // v x + the image's standard deviation
    b1,  // (x + 1) the image's root mean square
    b2,  // the image's root mean square - x
  };
  struct Options {
    double eps = 1e-5, momentum = 0.1;
    bool apply_act = true;  // false: a weight and a bias are all there is
  };
  EvoNorm2dB(Kind kind, int channels, const Options& o);
  Tensor forward(const Tensor& x) override;
  Param weight, bias, v, running_var;

 private:
  Tensor batch_variance(const Tensor& x);
  Kind kind_;
  Options options_;
};

/// Over N,C,H,W: an activation divided by a statistic of x over a group of channels of each sample.
class EvoNorm2dS final : public Module {
 public:
  enum class Kind : uint8_t {
    s0,  // x sigmoid(v x) by the standard deviation
    s1,  // silu(x) by the standard deviation
    s2,  // silu(x) by the root mean square
  };
  struct Options {
    double eps = 1e-5;
    bool apply_act = true;
    bool always_divide = false;  // also where it is no activation
  };
  EvoNorm2dS(Kind kind, int channels, int groups, const Options& o);
  Tensor forward(const Tensor& x) override;
  Param weight, bias, v;

 private:
  Kind kind_;
  int groups_;
  Options options_;
};

}  // namespace fovea
