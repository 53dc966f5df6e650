// SPDX-License-Identifier: Apache-2.0
// nn/layers/filter_response_norm.cpp — a norm of single channels.
#include "nn/layers/filter_response_norm.h"

#include "engine/ops/ops.h"

namespace fovea {
namespace {

Tensor each(const Tensor& p) { return reshape(p, {1, -1, 1, 1}); }
Tensor normed(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return x * (rsqrt(mean(square(x), {2, 3}, keep_dims) + eps) * each(weight)) + each(bias);
}

}  // namespace

FilterResponseNormTlu2d::FilterResponseNormTlu2d(int channels, double eps, bool apply_act) : eps_(eps) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
  if (apply_act) tau = param("tau", {channels}, init::zeros());
}

Tensor FilterResponseNormTlu2d::forward(const Tensor& x) {
  const Tensor y = normed(x, weight, bias, eps_);
  return tau ? maximum(y, each(tau)) : y;
}

FilterResponseNormAct2d::FilterResponseNormAct2d(int channels, double eps, const Act& act) : eps_(eps), act_(act) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
}

Tensor FilterResponseNormAct2d::forward(const Tensor& x) { return activate(normed(x, weight, bias, eps_), act_); }

}  // namespace fovea
