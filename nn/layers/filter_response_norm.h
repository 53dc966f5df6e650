// SPDX-License-Identifier: Apache-2.0
// nn/layers/filter_response_norm.h — division of each channel of an image by its root mean square;
// https://arxiv.org/abs/1911.09737
#pragma once
#include "nn/layers/act.h"
#include "nn/module.h"

namespace fovea {

/// Over N,C,H,W. The thresholded linear unit, max(y, tau) with a learned tau, is this norm's own activation.
class FilterResponseNormTlu2d final : public Module {
 public:
  explicit FilterResponseNormTlu2d(int channels, double eps = 1e-5, bool apply_act = true);
  Tensor forward(const Tensor& x) override;
  Param weight, bias, tau;

 private:
  double eps_;
};

/// The same with any activation instead.
class FilterResponseNormAct2d final : public Module {
 public:
  explicit FilterResponseNormAct2d(int channels, double eps = 1e-5, const Act& act = act::relu);
  Tensor forward(const Tensor& x) override;
  Param weight, bias;

 private:
  double eps_;
  Act act_;
};

}  // namespace fovea
