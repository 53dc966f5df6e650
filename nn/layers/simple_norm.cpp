// SPDX-License-Identifier: Apache-2.0
// nn/layers/simple_norm.cpp — SimpleNorm and SimpleNorm2d.
#include "nn/layers/simple_norm.h"

#include "engine/ops/ops.h"

namespace fovea {
namespace {

Tensor scaled(const Tensor& x, int channel_axis, const Tensor& weight, double eps) {
  return x * rsqrt(var(x, {channel_axis}, keep_dims, true) + eps) * weight;
}

}  // namespace

SimpleNorm::SimpleNorm(int channels, double eps) : eps_(eps) { weight = param("weight", {channels}, init::ones()); }
Tensor SimpleNorm::forward(const Tensor& x) { return scaled(x, -1, weight, eps_); }

SimpleNorm2d::SimpleNorm2d(int channels, double eps, const Act& act) : eps_(eps), act_(act) {
  weight = param("weight", {channels}, init::ones());
}
Tensor SimpleNorm2d::forward(const Tensor& x) {
  return activate(scaled(x, 1, reshape(weight, {1, -1, 1, 1}), eps_), act_);
}

}  // namespace fovea
