// SPDX-License-Identifier: Apache-2.0
// test/support/recorded.h — what files of recorded figures say in JSON, as fovea says it.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "zoo/model_options.h"

namespace fovea {

/// Throws Error(io) when there is no such file.
nlohmann::json read_json(const std::string& path);
/// The entries of test/golden/<kind>/<module>.json of every family that is built in. Throws Error(io) when one has
/// none.
std::vector<nlohmann::json> recorded_cases(const std::string& kind);
/// The entry's "kwargs", timm's arguments, as options; what no option stands for becomes a setting.
zoo::ModelOptions recorded_options(const nlohmann::json& entry);
/// The largest difference of f32[...] from what is recorded, in any shape; infinity for NaN. Throws Error(shape) where
/// there are more or fewer values.
double furthest(const Tensor& ours, const std::vector<double>& wanted);

}  // namespace fovea
