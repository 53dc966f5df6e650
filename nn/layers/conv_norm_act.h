// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv_norm_act.h — ConvNormAct: a convolution, its norm and its activation under timm's names conv and bn.
#pragma once
#include <string_view>

#include "nn/layers/conv.h"
#include "nn/layers/drop_block.h"
#include "nn/layers/norm.h"
#include "nn/module.h"

namespace fovea {

struct ConvNormActOptions {
  Conv2dOptions conv{};
  NormSpec norm{};
  Act act = act::relu;                             // act::none: the norm alone
  std::string_view anti_alias{};                   // takes the convolution's stride over
  DropBlockOptions drop{};                         // between the norm and the activation
};

class ConvNormAct final : public Module {
 public:
  ConvNormAct(int in, int out, Size2 kernel, const ConvNormActOptions& o = {});
  Tensor forward(const Tensor& x) override;

  Ref<Conv2d> conv;
  Ref<Module> bn;                                  // with the activation; called so whatever norm it is

 private:
  Maybe<Module> drop_, act_, aa_;                  // drop and act where they stand apart from the norm
};

/// The same with a depthwise convolution "conv_dw" and a pointwise one "conv_pw".
class SeparableConvNormAct final : public Module {
 public:
  SeparableConvNormAct(int in, int out, Size2 kernel, const ConvNormActOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Conv2d> conv_dw_, conv_pw_;
  Ref<Module> bn_;
};

}  // namespace fovea
