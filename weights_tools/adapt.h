// SPDX-License-Identifier: Apache-2.0
// weights_tools/adapt.h — fits weights to a model with another number of input channels or of classes, as timm does.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/state_dict.h"

namespace fovea {

/// A convolution's weight [out, in, kh, kw] for `channels` input channels, from one for `source` of them: summed over
/// the source channels for one channel (stems that fold pixels into channels keep their groups), else repeated, cut off
/// and scaled by source / channels. Absent when there is no such rule: not of rank 4, not floating, or `in` is not
/// `source`. Throws Error(argument) unless both are positive.
Tensor adapt_input_conv(const Tensor& weight, int64_t channels, int64_t source = 3);

struct Adapt {
  std::vector<std::string> first_convs;  // module names ("conv1"); empty: leave the input alone
  int64_t channels = 3, source_channels = 3;
  std::vector<std::string> classifiers;  // module names ("fc", "head"); empty: leave the classes alone
  int64_t classes = 1000, source_classes = 1000;
  int64_t label_offset = 0;  // leading rows of the classifier that are no class of the model
};

/// Changes `weights` in place. Returns the names that had to go (classifiers of other classes, stems without a rule):
/// the model keeps its own values for these, so it is to be loaded without asking for them.
std::vector<std::string> adapt(StateDict& weights, const Adapt& how);

}  // namespace fovea
