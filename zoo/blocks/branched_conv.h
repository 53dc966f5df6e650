// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/branched_conv.h — BranchedConv: convolutions of one shape, a 1x1 and a norm side by side, which after
// training are one convolution; https://arxiv.org/abs/2101.03697, https://arxiv.org/abs/2206.04040
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "nn/fuse.h"
#include "nn/layers.h"

namespace fovea::zoo {

struct BranchedConvOptions {
  int kernel = 3, stride = 1, dilation = 1, groups = 1;
  int branches = 0;                           // under "conv_kxk.0" and so on; 0: one, "conv_kxk"
  std::string_view pointwise = "conv_scale";  // what the 1x1 branch is called; "": there is none
  bool identity = true;                       // a norm alone, where the shapes allow it
  NormSpec norm{};
  DropBlockOptions drop_block{};
  double drop_path = 0;  // where there is an identity
};

class BranchedConv : public Module, public Fusible {
 public:
  BranchedConv(int in, int out, const BranchedConvOptions& o);
  Tensor forward(const Tensor& x) override { return reparam_conv_ ? reparam_conv_(x) : branches(x); }
  void fuse() override;

 private:
  Tensor branches(const Tensor& x);
  Maybe<Module> identity_, pointwise_, drop_path_, reparam_conv_;
  std::vector<Ref<ConvNormAct>> convs_;
  Module* list_ = nullptr;  // that holds them, where they are numbered
};

}  // namespace fovea::zoo
