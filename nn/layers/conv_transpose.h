// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv_transpose.h — ConvTranspose2d: the adjoint of a convolution, which makes maps larger.
#pragma once
#include "nn/module.h"

namespace fovea {

struct ConvTranspose2dOptions {
  int stride = 1, padding = 0, groups = 1;
  bool bias = true;
};
class ConvTranspose2d final : public Module {
 public:
  ConvTranspose2d(int in, int out, int kernel, const ConvTranspose2dOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Param weight, bias;  // [in, out / groups, kernel, kernel]; [out]

 private:
  ConvTranspose2dOptions options_;
};

}  // namespace fovea
