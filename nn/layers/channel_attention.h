// SPDX-License-Identifier: Apache-2.0
// nn/layers/channel_attention.h — modules that weigh channels by what the whole image says: squeeze-and-excitation and
// relatives.
#pragma once
#include <optional>
#include <string_view>

#include "nn/layers/act.h"
#include "nn/layers/conv.h"
#include "nn/layers/mlp.h"
#include "nn/module.h"

namespace fovea {

/// Nearest multiple of `divisor`, at least `minimum` (0: the divisor), not below round_limit * v.
int make_divisible(double v, int divisor = 8, int minimum = 0, double round_limit = 0.9);

struct SqueezeOptions;
/// Channels of a reduction: those given, or a share of all; `ratio` and `divisor` where the options have none.
int reduced_channels(int channels, const SqueezeOptions& o, double ratio, int divisor, double round_limit = 0);

struct SqueezeOptions {
  double ratio = 0;                                // of the reduction; 0: the module's default
  int channels = 0;                                // of the reduction, given directly
  int divisor = 0;                                 // 0: the module's default
  double round_limit = 0.9;                        // SqueezeExcite: rounding down keeps at least this share
  std::optional<Act> act{};                        // default: the module's, most often relu
  Act gate = act::sigmoid;
  bool max_pool = false;                           // half of the squeeze is the maximum
  bool norm = false;                               // batch norm after the reduction
  bool bias = true;                                // of SEModule's layers
  int blocks = 0;                                  // bat: along each side of the image; 0: 7
};

/// Squeeze-and-excitation as in SE-Nets (fc1, fc2): https://arxiv.org/abs/1709.01507.
class SEModule final : public Module {
 public:
  explicit SEModule(int channels, const SqueezeOptions& o = {});       // ratio 1/16, divisor 8
  Tensor forward(const Tensor& x) override;
  Ref<Conv2d> fc1, fc2;

 private:
  Maybe<Module> bn_;
  Act act_, gate_;
  bool max_pool_;
};

/// The same as EfficientNet and MobileNet write it (conv_reduce, conv_expand): the reduction rounds to the nearest
/// even-handed integer.
class SqueezeExcite final : public Module {
 public:
  explicit SqueezeExcite(int channels, const SqueezeOptions& o = {});  // ratio 1/4; divisor 0: no rounding to multiples
  Tensor forward(const Tensor& x) override;
  Ref<Conv2d> conv_reduce, conv_expand;

 private:
  Act act_, gate_;
};

/// One layer without reduction: https://arxiv.org/abs/1911.06667.
class EffectiveSEModule final : public Module {
 public:
  explicit EffectiveSEModule(int channels, const SqueezeOptions& o = {.gate = act::hard_sigmoid});
  Tensor forward(const Tensor& x) override;
  Ref<Conv2d> fc;

 private:
  Act gate_;
  bool max_pool_;
};

struct EcaOptions {
  bool circular = false;                           // the ends of the channels meet
  bool mlp = false;                                // two convolutions, with what `squeeze` says between them
  SqueezeOptions squeeze{};                        // ratio 1/8, divisor 8
};
/// A 1-D convolution over neighbouring channels: https://arxiv.org/abs/1910.03151.
class EcaModule final : public Module {
 public:
  explicit EcaModule(int channels, const EcaOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  struct Conv1d final : Module {
    Conv1d(int in, int out, int kernel, bool with_bias);
    Tensor forward(const Tensor& x) override;
    Param weight, bias;
    bool padded = true;                            // with zeros, so that as many come out
  };
  Ref<Conv1d> conv_;
  Maybe<Conv1d> conv2_;
  bool circular_;
  Act act_, gate_;
};

struct GlobalContextOptions {
  SqueezeOptions squeeze{};                        // ratio 1/8, divisor 1
  bool attention = true, fuse_add = false, fuse_scale = true;
};
/// Attention-weighted squeeze: GCNet, https://arxiv.org/abs/1904.11492.
class GlobalContext final : public Module {
 public:
  explicit GlobalContext(int channels, const GlobalContextOptions& o = {});
  Tensor forward(const Tensor& x) override;
  /// Gives its convolutions their first values: for networks that give all convolutions others.
  void start_values();

 private:
  Maybe<Conv2d> conv_attn_;
  Maybe<ConvMlp> mlp_add_, mlp_scale_;
  Act gate_;
};

/// Channel and then spatial attention: https://arxiv.org/abs/1807.06521. Light: mean and maximum are averaged before
/// they are looked at, not after.
class CbamModule final : public Module {
 public:
  explicit CbamModule(int channels, const SqueezeOptions& o = {}, bool light = false);     // ratio 1/16, divisor 1
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> channel_, spatial_;
};

/// By timm's name: se, ese, eca, ecam, ceca, ge, gc, gca, cbam, lcbam, coord, scoord, ela, strip, nl, bat; "" gives
/// null. Throws Error(argument) for others.
std::unique_ptr<Module> channel_attention(std::string_view kind, int channels, const SqueezeOptions& o = {});

}  // namespace fovea
