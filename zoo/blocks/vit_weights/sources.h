// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/sources.h — the code bases whose Vision Transformers adapt_vit() reads, a file each.
#pragma once
#include <string_view>

#include "engine/core/state_dict.h"

namespace fovea::zoo {

class Vit;

StateDict from_clip(const StateDict& weights, std::string_view prefix);
StateDict from_open_clip(const StateDict& weights, std::string_view prefix, const Vit& vit);
StateDict from_dinov2(const StateDict& weights);
StateDict from_aim(const StateDict& weights);
StateDict from_beit3(const StateDict& weights);
StateDict from_radio(const StateDict& weights, const Vit& vit);

}  // namespace fovea::zoo
