// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/network_names.h — weights of code whose stages, and what shrinks the map between them, are one list; and
// whose layers of single pixels are linear.
#pragma once
#include "zoo/image_model.h"

namespace fovea::zoo {

/// "network.2.5." is "stages.1.blocks.5.", and "network.3." is "stages.2.downsample.". Other names stay.
StateDict network_to_stages(const StateDict& weights);
/// Tensors that have as many elements as the model's of that name, but another shape, take the model's.
void fit_shapes(const ImageModel& model, StateDict& weights);

}  // namespace fovea::zoo
