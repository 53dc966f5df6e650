// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv_norm_act.cpp — a convolution, a norm, an activation.
#include "nn/layers/conv_norm_act.h"

#include "nn/layers/pool.h"

namespace fovea {

ConvNormAct::ConvNormAct(int in, int out, Size2 kernel, const ConvNormActOptions& o) {
  const bool blurs = !o.anti_alias.empty() && o.conv.stride.h > 1;
  Conv2dOptions c = o.conv;
  if (blurs) c.stride = 1;
  conv = add("conv", Conv2d(in, out, kernel, c));
  const bool apart = o.drop.rate > 0 && o.norm.kind == NormSpec::Kind::batch;
  bn = add("bn", norm_act2d(o.norm, out, apart ? act::none : o.act));
  if (apart) {
    drop_ = add("drop", DropBlock2d(o.drop));
    act_ = add("act", Activation(o.act));
  }
  if (blurs) aa_ = add("aa", anti_alias(o.anti_alias, out, o.conv.stride.h));
}

Tensor ConvNormAct::forward(const Tensor& x) { return aa_(act_(drop_(bn(conv(x))))); }

SeparableConvNormAct::SeparableConvNormAct(int in, int out, Size2 kernel, const ConvNormActOptions& o) {
  Conv2dOptions depthwise = o.conv;
  depthwise.groups = in;
  depthwise.bias = false;
  conv_dw_ = add("conv_dw", Conv2d(in, in, kernel, depthwise));
  conv_pw_ = add("conv_pw", Conv2d(in, out, 1, {.bias = o.conv.bias}));
  bn_ = add("bn", norm_act2d(o.norm, out, o.act));
}

Tensor SeparableConvNormAct::forward(const Tensor& x) { return bn_(conv_pw_(conv_dw_(x))); }

}  // namespace fovea
