// SPDX-License-Identifier: Apache-2.0
// nn/layers/mlp.h — two linear layers or 1x1 convolutions with an activation between them.
#pragma once
#include <optional>

#include "nn/layers/act.h"
#include "nn/layers/conv.h"
#include "nn/layers/drop.h"
#include "nn/layers/linear.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea {

struct MlpOptions {
  int hidden = 0, out = 0;                         // 0: as many as come in
  Act act = act::gelu;
  TokenNorm norm{.kind = TokenNorm::Kind::none};   // in front of fc2
  bool bias = true;
  std::optional<bool> out_bias{};  // of fc2, where it differs
  double drop = 0;
  std::optional<double> out_drop{};  // behind fc2, where it differs
};
class Mlp final : public Module {
 public:
  explicit Mlp(int in, const MlpOptions& o = {});
  Tensor forward(const Tensor& x) override;        // over the last dimension
  Ref<Linear> fc1, fc2;
  Ref<Activation> act;

 private:
  Ref<Dropout> drop1_, drop2_;
  Maybe<Module> norm_;
};

struct ConvMlpOptions {
  int hidden = 0, out = 0;
  Act act = act::relu;
  bool norm = false;                               // LayerNorm2d in the middle
  bool bias = true;
  double drop = 0;
};
/// On N,C,H,W with 1x1 convolutions.
class ConvMlp final : public Module {
 public:
  explicit ConvMlp(int in, const ConvMlpOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Ref<Conv2d> fc1, fc2;
  Maybe<Module> norm;

 private:
  Ref<Activation> act_;
  Ref<Dropout> drop_;
};

}  // namespace fovea
