// SPDX-License-Identifier: Apache-2.0
// nn/layers/evo_norm.cpp — EvoNorm B0 to S2a.
#include "nn/layers/evo_norm.h"

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/act.h"

namespace fovea {
namespace {

Tensor per_channel(const Tensor& p) { return reshape(p, {1, -1, 1, 1}); }
Tensor root_mean_square(const Tensor& x, const Dims& dims, double eps) {
  return sqrt(mean(square(x), dims, keep_dims) + eps);
}
Tensor deviation(const Tensor& x, const Dims& dims, double eps) { return sqrt(var(x, dims, keep_dims) + eps); }

}  // namespace

EvoNorm2dB::EvoNorm2dB(Kind kind, int channels, const Options& o) : kind_(kind), options_(o) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
  if (kind == Kind::b0 && o.apply_act) v = param("v", {channels}, init::ones());
  running_var = buffer("running_var", {channels}, init::ones());
}

Tensor EvoNorm2dB::batch_variance(const Tensor& x) {
  if (!training()) return running_var;
  const Tensor own = var(x, {0, 2, 3});
  if (!recomputing()) {
    const NoGrad no_grad;
    const double m = options_.momentum, count = static_cast<double>(x.numel() / x.dim(1)),
                 unbiased = count > 1 ? count / (count - 1) : 1;
    running_var.set(cast(*running_var * (1 - m) + own.detach() * (m * unbiased), running_var->dtype()));
  }
  return own;
}

Tensor EvoNorm2dB::forward(const Tensor& x) {
  Tensor y = x;
  if (options_.apply_act) {
    const double eps = options_.eps;
    const Dims image{2, 3};
    Tensor other;
    switch (kind_) {
      case Kind::b0: other = x * per_channel(v) + deviation(x, image, eps); break;
      case Kind::b1: other = (x + 1) * root_mean_square(x, image, eps); break;
      case Kind::b2: other = root_mean_square(x, image, eps) - x; break;
    }
    y = x / maximum(sqrt(per_channel(batch_variance(x)) + eps), other);
  }
  return y * per_channel(weight) + per_channel(bias);
}

EvoNorm2dS::EvoNorm2dS(Kind kind, int channels, int groups, const Options& o)
    : kind_(kind), groups_(groups), options_(o) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
  if (kind == Kind::s0 && o.apply_act) v = param("v", {channels}, init::ones());
}

Tensor EvoNorm2dS::forward(const Tensor& x) {
  Tensor y = x;
  if (options_.apply_act) y = v ? x * sigmoid(x * per_channel(v)) : activate(x, act::silu);
  if (options_.apply_act || options_.always_divide) {
    const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
    const Tensor grouped = reshape(x, {n, groups_, c / groups_, h, w});
    const Dims group{2, 3, 4};
    const Tensor spread = kind_ == Kind::s2 ? root_mean_square(grouped, group, options_.eps)
                                            : deviation(grouped, group, options_.eps);
    y = y / reshape(expand(spread, {n, groups_, c / groups_, 1, 1}), {n, c, 1, 1});
  }
  return y * per_channel(weight) + per_channel(bias);
}

}  // namespace fovea
