// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stage_groups.h — the layers of networks of a stem and stages of blocks, as rows of a group_matcher().
#pragma once
#include <string_view>
#include <vector>

#include "zoo/layer_groups.h"

namespace fovea::zoo {

/// `stages` is the child whose children have "downsample" and "blocks", behind `stem`; `norm`, where there is one,
/// stands behind it. Coarse: a layer a stage.
std::vector<LayerGroup> stage_groups(std::string_view stages, std::string_view norm, bool coarse,
                                     std::string_view stem = "stem");

}  // namespace fovea::zoo
