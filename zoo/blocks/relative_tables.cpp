// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/relative_tables.cpp — tables to the modules that own them.
#include "zoo/blocks/relative_tables.h"

#include "nn/layers/relative_bias.h"

namespace fovea::zoo {

void resample_relative_tables(ImageModel& model, StateDict& weights) {
  for (const std::string& name : weights.names()) {
    if (!name.ends_with(".relative_position_bias_table")) continue;
    const auto* owner = dynamic_cast<RelativeTableOwner*>(model.find(name.substr(0, name.rfind('.'))));
    if (owner && owner->relative_table()) weights.set(name, owner->relative_table().resampled(weights.at(name)));
  }
}

}  // namespace fovea::zoo
