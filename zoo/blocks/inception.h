// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/inception.h — branches side by side whose values are concatenated, and the convolutions of the Inceptions.
#pragma once
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/layers/conv_norm_act.h"
#include "nn/module.h"
#include "zoo/settings.h"

namespace fovea::zoo {

/// Branches over one operand. Their parts are children of this module; the state dict has them in the order in which
/// they were added.
class Branches : public Module {
 public:
  /// A new branch that begins with this part.
  template <class M>
  void branch(std::string_view name, M part) {
    branches_.push_back({.chain = {add(name, std::move(part))}, .ends = {}});
  }
  /// The next part of the last branch.
  template <class M>
  void then(std::string_view name, M part) {
    branches_.back().chain.push_back(add(name, std::move(part)));
  }
  /// One of several ends of the last branch, which all take what its chain gives.
  template <class M>
  void end(std::string_view name, M part) {
    branches_.back().ends.push_back(add(name, std::move(part)));
  }
  Tensor forward(const Tensor& x) override;

 private:
  struct Branch {
    std::vector<Ref<Module>> chain, ends;
  };
  std::vector<Branch> branches_;
};

struct InceptionCfg {
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  double norm_eps = 1e-3;
  Act act_layer = act::relu;
};
FOVEA_SETTINGS(InceptionCfg, norm_layer, norm_eps, act_layer)

/// Where windows lie: around each pixel, with zeros at the border, or within the map.
enum class Windows : bool { padded, inside };

struct InceptionConv {
  int out;
  Size2 kernel = 1;
  int stride = 1;
  Windows windows = stride == 1 ? Windows::padded : Windows::inside;
};
ConvNormAct inception_conv(const InceptionCfg& c, int in, const InceptionConv& conv);
Sequential inception_chain(const InceptionCfg& c, int in, std::initializer_list<InceptionConv> convs);
/// The mean of 3x3 pixels that there are, and a 1x1 convolution.
Sequential inception_pool(const InceptionCfg& c, int in, int out);

}  // namespace fovea::zoo
