// SPDX-License-Identifier: Apache-2.0
// nn/layers/norm.cpp — batch, group, layer and RMS norm, and all norms of images by name.
#include "nn/layers/norm.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/core/peers.h"
#include "engine/ops/ops.h"
#include "engine/ops/peers.h"
#include "nn/layers/evo_norm.h"
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

// Statistics over the images of all processes, which have equally many. Between the two numbers of a channel much
// cancels, so they travel in f64.
BatchNormResult normed_over_peers(const Peers& all, const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  Dims axes{0};
  for (int i = 2; i < x.rank(); ++i) axes.push_back(i);
  const DType type = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const int64_t channels = x.dim(1);
  const auto [spread, centre] = var_mean(cast(x, type), axes);
  const Tensor first = cast(centre, DType::f64), second = cast(spread, DType::f64) + square(first);
  const Tensor moments = sum_over_peers(cat({first, second}, 0)) / static_cast<double>(all.size());
  const Tensor mean = narrow(moments, 0, 0, channels);
  const Tensor var = cast(narrow(moments, 0, channels, channels) - square(mean), type);
  return {batch_norm(x, w, b, cast(mean, type), var, eps), cast(mean, type), var};
}

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
  const Peers* const all = norm_peers();
  const BatchNormResult r = all ? normed_over_peers(*all, x, weight, bias, options_.eps)
                                : batch_norm_train(x, weight, bias, options_.eps);
  if (!recomputing()) follow(r.mean, r.var, x.numel() / x.dim(1) * (all ? all->size() : 1));
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

std::string_view name_of(NormSpec::Kind k) {
  constexpr std::string_view names[] = {"batch",   "group",  "layer",  "evo_s0", "rms",    "simple",
                                        "frn_tlu", "evo_s0a", "group1", "evo_b0", "evo_b1", "evo_b2",
                                        "evo_s1",  "evo_s1a", "evo_s2", "evo_s2a", "frn"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

bool parse_norm(std::string_view name, NormSpec::Kind& kind) {
  std::string wanted;
  for (const char c : name)
    if (c != '_') wanted += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto without = [&](std::string_view end) {
    if (wanted.ends_with(end)) wanted.resize(wanted.size() - end.size());
  };
  without("fp32");
  without("2d");
  const size_t norm = wanted.find("norm");
  if (norm != std::string::npos) wanted.erase(norm, 4);
  for (int i = 0; !name_of(static_cast<NormSpec::Kind>(i)).empty(); ++i) {
    std::string known(name_of(static_cast<NormSpec::Kind>(i)));
    std::erase(known, '_');
    if (known == wanted) return kind = static_cast<NormSpec::Kind>(i), true;
  }
  return false;
}

std::unique_ptr<Module> norm_act2d(const NormSpec& n, int channels, const Act& act) {
  using enum NormSpec::Kind;
  const auto eps = [&](double usual) { return n.eps > 0 ? n.eps : usual; };
  const bool acts = !act.identity();
  const auto by_batch = [&](EvoNorm2dB::Kind kind, double usual) {
    return std::make_unique<EvoNorm2dB>(kind, channels, EvoNorm2dB::Options{eps(usual), n.momentum, acts});
  };
  const auto by_sample = [&](EvoNorm2dS::Kind kind, bool always, double usual) {
    return std::make_unique<EvoNorm2dS>(kind, channels, groups_of(n, channels),
                                        EvoNorm2dS::Options{eps(usual), acts, always});
  };
  switch (n.kind) {
    case group: return std::make_unique<GroupNorm>(channels, groups_of(n, channels), eps(1e-5), act);
    case group1: return std::make_unique<GroupNorm>(channels, 1, eps(1e-5), act);
    case layer: return std::make_unique<LayerNorm2d>(channels, eps(1e-5), act);
    case rms: return std::make_unique<RmsNorm2d>(channels, eps(1e-6), act);
    case simple: return std::make_unique<SimpleNorm2d>(channels, eps(1e-6), act);
    case frn: return std::make_unique<FilterResponseNormAct2d>(channels, eps(1e-5), act);
    case frn_tlu: return std::make_unique<FilterResponseNormTlu2d>(channels, eps(1e-5), acts);
    case evo_b0: return by_batch(EvoNorm2dB::Kind::b0, 1e-3);
    case evo_b1: return by_batch(EvoNorm2dB::Kind::b1, 1e-5);
    case evo_b2: return by_batch(EvoNorm2dB::Kind::b2, 1e-5);
    case evo_s0: return by_sample(EvoNorm2dS::Kind::s0, false, 1e-5);
    case evo_s0a: return by_sample(EvoNorm2dS::Kind::s0, true, 1e-3);
    case evo_s1: return by_sample(EvoNorm2dS::Kind::s1, false, 1e-5);
    case evo_s1a: return by_sample(EvoNorm2dS::Kind::s1, true, 1e-3);
    case evo_s2: return by_sample(EvoNorm2dS::Kind::s2, false, 1e-5);
    case evo_s2a: return by_sample(EvoNorm2dS::Kind::s2, true, 1e-3);
    case batch: break;
  }
  return std::make_unique<BatchNorm2d>(channels, BatchNormOptions{.eps = eps(1e-5), .momentum = n.momentum}, act);
}

}  // namespace fovea
