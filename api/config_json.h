// SPDX-License-Identifier: Apache-2.0
// api/config_json.h — what a config.json beside weights says, as timm and transformers write it.
#pragma once
#include <string>

namespace fovea {

/// "resnet50.a1_in1k": its architecture, with the tag where that is one of the architecture's. Empty where there is no
/// such file, or it names none.
std::string name_beside(const std::string& weights);

}  // namespace fovea
