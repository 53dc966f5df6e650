// SPDX-License-Identifier: Apache-2.0
// zoo/layer_groups.h — which parameters form a layer: for learning rates that differ by depth.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::zoo {

class ImageModel;

/// One row: names in which `pattern` is found belong to the group, whose layers the captured numbers order.
struct LayerGroup {
  int group = 0;                                   // groups are ordered by this number
  std::string pattern{};                           // as in weights_tools/rename.h: "^blocks.#"
  bool joins_previous = false;                     // the last layer of the group takes these in
  int number = -1;                                 // not -1: as if this number had been captured behind the others
};

/// Each parameter's name and the number of its layer, from 0 at the image. Names that no row matches, as a rule the
/// classifier's, are the last layer. Equal to what timm makes of a model's group_matcher.
std::vector<std::pair<std::string, int>> layer_numbers(const ImageModel& model, bool coarse = false);

}  // namespace fovea::zoo
