// SPDX-License-Identifier: Apache-2.0
// nn/layers/simple_norm.h — division by the standard deviation alone: the mean stays where it is.
#pragma once
#include "nn/layers/act.h"
#include "nn/module.h"

namespace fovea {

/// Over the last dimension; the variance is the unbiased one.
class SimpleNorm final : public Module {
 public:
  explicit SimpleNorm(int channels, double eps = 1e-6);
  Tensor forward(const Tensor& x) override;
  Param weight;

 private:
  double eps_;
};

/// Over the channels of N,C,H,W.
class SimpleNorm2d final : public Module {
 public:
  explicit SimpleNorm2d(int channels, double eps = 1e-6, const Act& act = {});
  Tensor forward(const Tensor& x) override;
  Param weight;

 private:
  double eps_;
  Act act_;
};

}  // namespace fovea
