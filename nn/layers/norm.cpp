// SPDX-License-Identifier: Apache-2.0
// nn/layers/norm.cpp — batch, group, layer and RMS norm, and EvoNorm S0.
#include "nn/layers/norm.h"

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/filter_response_norm.h"
#include "nn/layers/simple_norm.h"

namespace fovea {
namespace {

int groups_of(const NormSpec& n, int channels) {
  const int groups = n.group_size ? channels / n.group_size : n.groups;
  if (groups < 1 || channels % groups != 0 || (n.group_size && channels % n.group_size != 0))
    throw Error(
        Error::Kind::argument,
        str_cat(channels, " channels do not divide into groups of ", n.group_size ? n.group_size : channels / n.groups),
        current_scope());
  return groups;
}

Tensor per_channel(const Tensor& p) { return reshape(p, {1, -1, 1, 1}); }

}  // namespace

BatchNorm2d::BatchNorm2d(int channels, const BatchNormOptions& o, const Act& act) : options_(o), act_(act) {
  weight = param("weight", {channels}, init::constant(o.gain));
  bias = param("bias", {channels}, init::zeros());
  running_mean = buffer("running_mean", {channels}, init::zeros());
  running_var = buffer("running_var", {channels}, init::ones());
  num_batches_tracked = buffer("num_batches_tracked", {}, init::zeros(), DType::i64);
  num_batches_tracked.slot().optional = true;
}

Tensor BatchNorm2d::forward(const Tensor& x) {
  if (!training()) return activate(batch_norm(x, weight, bias, running_mean, running_var, options_.eps), act_);
  const BatchNormResult r = batch_norm_train(x, weight, bias, options_.eps);
  if (!recomputing()) follow(r.mean, r.var, x.numel() / x.dim(1));
  return activate(r.y, act_);
}

void BatchNorm2d::follow(const Tensor& mean, const Tensor& var, int64_t count) {
  const NoGrad no_grad;
  const double m = options_.momentum,
               unbiased = count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1;
  running_mean.set(cast(*running_mean * (1 - m) + mean.detach() * m, running_mean->dtype()));
  running_var.set(cast(*running_var * (1 - m) + var.detach() * (m * unbiased), running_var->dtype()));
  num_batches_tracked.set(*num_batches_tracked + 1);
}

void BatchNorm2d::resize(int channels) {
  for (const Param& p : {weight, bias, running_mean, running_var})
    p.set(meta_tensor(make_meta(p->dtype(), {channels})));
}

GroupNorm::GroupNorm(int channels, int groups, double eps, const Act& act) : groups_(groups), eps_(eps), act_(act) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
}
Tensor GroupNorm::forward(const Tensor& x) { return activate(group_norm(x, weight, bias, groups_, eps_), act_); }

LayerNorm::LayerNorm(int channels, double eps, bool affine, bool with_bias) : eps_(eps), channels_(channels) {
  if (affine) weight = param("weight", {channels}, init::ones());
  if (affine && with_bias) bias = param("bias", {channels}, init::zeros());
}
Tensor LayerNorm::forward(const Tensor& x) {
  if (x.dim(-1) != channels_)
    throw Error(Error::Kind::shape, str_cat("layer norm of ", channels_, " channels met ", to_string(x.meta())),
                current_scope());
  return layer_norm(x, weight, bias, eps_);
}

LayerNorm2d::LayerNorm2d(int channels, double eps, const Act& act) : eps_(eps), act_(act) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
}
Tensor LayerNorm2d::forward(const Tensor& x) {
  const Tensor y = layer_norm(permute(x, {0, 2, 3, 1}), weight, bias, eps_);
  return activate(permute(y, {0, 3, 1, 2}), act_);
}

RmsNorm2d::RmsNorm2d(int channels, double eps, const Act& act) : eps_(eps), act_(act) {
  weight = param("weight", {channels}, init::ones());
}
Tensor RmsNorm2d::forward(const Tensor& x) {
  return activate(permute(rms_norm(permute(x, {0, 2, 3, 1}), weight, eps_), {0, 3, 1, 2}), act_);
}

EvoNorm2dS0::EvoNorm2dS0(int channels, int groups, double eps, bool apply_act, bool always_divide)
    : groups_(groups),
      eps_(eps),
      divides_(apply_act || always_divide) {
  weight = param("weight", {channels}, init::ones());
  bias = param("bias", {channels}, init::zeros());
  if (apply_act) v = param("v", {channels}, init::ones());
}
Tensor EvoNorm2dS0::forward(const Tensor& x) {
  Tensor y = v ? x * sigmoid(x * per_channel(v)) : x;
  if (divides_) {
    const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
    const Tensor spread = sqrt(var(reshape(x, {n, groups_, c / groups_, h, w}), {2, 3, 4}, keep_dims) + eps_);
    const Tensor each = reshape(expand(spread, {n, groups_, c / groups_, 1, 1}), {n, c, 1, 1});
    y = y / each;
  }
  return y * per_channel(weight) + per_channel(bias);
}

std::string_view name_of(NormSpec::Kind k) {
  constexpr std::string_view names[] = {"batch", "group", "layer", "evo_s0", "rms", "simple", "frn_tlu", "evo_s0a"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

std::unique_ptr<Module> norm_act2d(const NormSpec& n, int channels, const Act& act) {
  const double eps = n.eps > 0 ? n.eps : 1e-5;
  switch (n.kind) {
    case NormSpec::Kind::group: return std::make_unique<GroupNorm>(channels, groups_of(n, channels), eps, act);
    case NormSpec::Kind::layer: return std::make_unique<LayerNorm2d>(channels, eps, act);
    case NormSpec::Kind::evo_s0:
      return std::make_unique<EvoNorm2dS0>(channels, groups_of(n, channels), eps, !act.identity());
    case NormSpec::Kind::evo_s0a:
      return std::make_unique<EvoNorm2dS0>(channels, groups_of(n, channels), n.eps > 0 ? n.eps : 1e-3, !act.identity(),
                                           true);
    case NormSpec::Kind::rms: return std::make_unique<RmsNorm2d>(channels, n.eps > 0 ? n.eps : 1e-6, act);
    case NormSpec::Kind::simple: return std::make_unique<SimpleNorm2d>(channels, n.eps > 0 ? n.eps : 1e-6, act);
    case NormSpec::Kind::frn_tlu: return std::make_unique<FilterResponseNormTlu2d>(channels, eps, !act.identity());
    case NormSpec::Kind::batch: break;
  }
  return std::make_unique<BatchNorm2d>(channels, BatchNormOptions{.eps = eps, .momentum = n.momentum}, act);
}

}  // namespace fovea
