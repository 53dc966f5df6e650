// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stage_groups.cpp — stem, stages, blocks.
#include "zoo/blocks/stage_groups.h"

#include "engine/core/text.h"

namespace fovea::zoo {

std::vector<LayerGroup> stage_groups(std::string_view stages, std::string_view norm, bool coarse,
                                     std::string_view stem) {
  if (coarse) return {{0, str_cat('^', stem)}, {1, str_cat('^', stages, ".#")}};
  // what shrinks a map belongs to the block behind it
  std::vector<LayerGroup> rows{{0, str_cat('^', stem)},
                               {.group = 1, .pattern = str_cat('^', stages, ".#.downsample"), .number = 0},
                               {1, str_cat('^', stages, ".#.blocks.#")}};
  if (!norm.empty()) rows.push_back({.group = 1, .pattern = str_cat('^', norm), .joins_previous = true});
  return rows;
}

}  // namespace fovea::zoo
