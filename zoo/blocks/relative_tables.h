// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/relative_tables.h — published tables of relative positions for the windows that a model has.
#pragma once
#include "engine/core/state_dict.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

void resample_relative_tables(ImageModel& model, StateDict& weights);

}  // namespace fovea::zoo
