// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/missing_values.h — parameters that published weights lack, and that models do not need of them.
#pragma once
#include <string_view>

#include "zoo/image_model.h"

namespace fovea::zoo {

/// Those whose names begin with `prefix` keep the model's own values, or get first ones.
void add_missing(const ImageModel& model, StateDict& weights, std::string_view prefix);

}  // namespace fovea::zoo
