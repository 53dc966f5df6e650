// SPDX-License-Identifier: Apache-2.0
// nn/layers/norm.h — normalisation layers, alone and with the activation that follows them, and picking one by a
// NormSpec.
#pragma once
#include "nn/layers/act.h"
#include "nn/module.h"

namespace fovea {

struct BatchNormOptions {
  double eps = 1e-5, momentum = 0.1;               // PyTorch's momentum: the share of the new batch
  double gain = 1;                                 // what the weight starts as; 0 silences a residual branch
};

/// Over all dimensions but 1. Trains with the batch's own statistics and keeps running ones (the variance unbiased) for
/// eval mode.
/// Holds the activation that follows, if any: timm's BatchNormAct2d has the names of a plain batch norm.
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(int channels, const BatchNormOptions& o = {}, const Act& act = {});
  Tensor forward(const Tensor& x) override;
  void resize(int channels);                       // before there are bytes
  double eps() const { return options_.eps; }
  const Act& act() const { return act_; }

  Param weight, bias, running_mean, running_var, num_batches_tracked;

 private:
  void follow(const Tensor& mean, const Tensor& var, int64_t count);
  BatchNormOptions options_;
  Act act_;
};

/// Over groups of channels.
class GroupNorm final : public Module {
 public:
  GroupNorm(int channels, int groups, double eps = 1e-5, const Act& act = {});
  Tensor forward(const Tensor& x) override;
  Param weight, bias;

 private:
  int groups_;
  double eps_;
  Act act_;
};

/// Over the last dimension.
class LayerNorm final : public Module {
 public:
  explicit LayerNorm(int channels, double eps = 1e-6, bool affine = true, bool with_bias = true);
  Tensor forward(const Tensor& x) override;
  Param weight, bias;

 private:
  double eps_;
  int channels_;
};

/// Over the channels of N,C,H,W.
class LayerNorm2d final : public Module {
 public:
  explicit LayerNorm2d(int channels, double eps = 1e-6, const Act& act = {});
  Tensor forward(const Tensor& x) override;
  Param weight, bias;

 private:
  double eps_;
  Act act_;
};

/// By the root mean square of the channels of N,C,H,W, without centring.
class RmsNorm2d final : public Module {
 public:
  explicit RmsNorm2d(int channels, double eps = 1e-6, const Act& act = {});
  Tensor forward(const Tensor& x) override;
  Param weight;

 private:
  double eps_;
  Act act_;
};

/// Which norm a network uses, as data.
struct NormSpec {
  enum class Kind : uint8_t {
    batch,
    group,
    layer,
    evo_s0,
    rms,
    simple,
    frn_tlu,
    evo_s0a,
    group1,  // one group of all channels
    evo_b0,
    evo_b1,
    evo_b2,
    evo_s1,
    evo_s1a,
    evo_s2,
    evo_s2a,
    frn,
  } kind = Kind::batch;
  double eps = 0;                                  // 0: the layer's own default
  double momentum = 0.1;                           // batch, evo_b0 to evo_b2
  // group, evo_s0 to evo_s2a: channels per group when not 0, else the number of groups
  int groups = 32, group_size = 0;
  friend bool operator==(const NormSpec&, const NormSpec&) = default;
};
std::string_view name_of(NormSpec::Kind k);
/// By name_of() or timm's name ("batchnorm2d", "evonorms0", "frntlu"; norms that compute in f32 anyway are the plain
/// ones). Returns whether there is one.
bool parse_norm(std::string_view name, NormSpec::Kind& kind);

/// The norm and then the activation; act::none for the norm alone (EvoNorm and frn_tlu leave out their own
/// non-linearity then). EvoNorm has no other activation than its own.
std::unique_ptr<Module> norm_act2d(const NormSpec& n, int channels, const Act& act);
inline std::unique_ptr<Module> norm2d(const NormSpec& n, int channels) { return norm_act2d(n, channels, act::none); }

}  // namespace fovea
