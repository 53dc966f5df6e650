// SPDX-License-Identifier: Apache-2.0
// zoo/model_options.h — ModelOptions: what a caller may ask of any model.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fovea::zoo {

struct ModelOptions {
  // load the weights that the tag names; a classifier of other than num_classes starts anew
  bool pretrained = false;
  std::string weights{};                           // ... or these: a path; alone, they must have num_classes
  std::optional<int> num_classes{};                // default: as the weights; 0: no classifier
  std::optional<int> in_chans{};                   // default: as the weights
  std::optional<std::string> global_pool{};        // default: the family's; "": no pooling
  std::optional<std::array<int, 2>> img_size{};    // height, width; models of one size are rebuilt for it
  std::optional<float> drop_rate{};                // in front of the classifier; default: the family's, mostly 0
  // stochastic depth, growing linearly over the blocks; default: the variant's
  std::optional<float> drop_path_rate{};
  // 16, 8, in some families 4 or 2: dilation takes the place of later strides; default: 32
  std::optional<int> output_stride{};
  bool checkpointing = false;                      // recompute stages in the backward pass instead of keeping them
  // any field of the family's Cfg by name: {"stem_width", "32"}
  std::vector<std::pair<std::string, std::string>> set{};
};

}  // namespace fovea::zoo
