// SPDX-License-Identifier: Apache-2.0
// nn/layers/filter_response_norm.cpp — a norm of single channels.
#include "nn/layers/filter_response_norm.h"

#include "engine/ops/ops.h"

namespace fovea {

FilterResponseNormTlu2d::FilterResponseNormTlu2d(int channels, double eps, bool apply_act) : eps_(eps) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
  if (apply_act) tau = param("tau", {channels}, init::zeros());
}

Tensor FilterResponseNormTlu2d::forward(const Tensor& x) {
  const auto each = [](const Tensor& p) { return reshape(p, {1, -1, 1, 1}); };
  const Tensor scale = rsqrt(mean(square(x), {2, 3}, keep_dims) + eps_) * each(weight);
  const Tensor y = x * scale + each(bias);
  return tau ? maximum(y, each(tau)) : y;
}

}  // namespace fovea
