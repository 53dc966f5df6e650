// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/normed_layers.h — a convolution or a linear layer and its batch norm, which are one layer after training.
#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "nn/fuse.h"
#include "nn/layers/drop.h"
#include "nn/layers/norm.h"

namespace fovea::zoo {

/// A convolution, called `name`, and then "bn", whose weight starts as `gain`.
class ConvNorm : public FusibleLayer {
 public:
  ConvNorm(std::string_view name, int in, int out, int kernel = 1, const Conv2dOptions& o = {}, double gain = 1);
  Ref<Conv2d> conv;
  Ref<BatchNorm2d> bn;

 private:
  Tensor branches(const Tensor& x) override { return bn(conv(x)); }
  std::unique_ptr<Module> layer() override;
};

/// The same with a linear layer without a bias, over the last dimension.
class LinearNorm : public FusibleLayer {
 public:
  LinearNorm(std::string_view name, int in, int out, double gain = 1);
  Ref<Linear> linear;
  Ref<BatchNorm2d> bn;

 private:
  Tensor branches(const Tensor& x) override;
  std::unique_ptr<Module> layer() override;
};

/// The norm "bn" of a row of values, dropout and a linear layer, called `name`: a classifier.
class NormLinear : public FusibleLayer {
 public:
  NormLinear(std::string_view name, int in, int out, double drop_rate = 0);
  Ref<BatchNorm2d> bn;
  Ref<Linear> linear;

 private:
  Tensor branches(const Tensor& x) override { return linear(drop_(bn(x))); }
  std::unique_ptr<Module> layer() override;
  Maybe<Module> drop_;
};

/// One such classifier, "head", or two, whose mean counts; each as "bn" and "l". None for no classes.
class NormLinears final : public FusibleLayer {
 public:
  NormLinears(int in, int classes, bool distilled);
  /// What each of the two says; of one alone, or fused ones, twice what they say.
  std::pair<Tensor, Tensor> heads(const Tensor& x);

 private:
  Tensor branches(const Tensor& x) override;
  std::unique_ptr<Module> layer() override;
  int in_, classes_;
  Maybe<Module> head_, head_dist_;
};

}  // namespace fovea::zoo
