// SPDX-License-Identifier: Apache-2.0
// api/calibration.h — calibrations as JSON files.
#pragma once
#include <memory>
#include <string>

#include "engine/graph/calibration.h"

namespace fovea {

/// {"model": ..., "values": {name: {"range": [lo, hi], "mean": [...]}}}
void write_calibration(const std::string& path, const Calibration& c, const std::string& model);
/// Throws Error(io) when it cannot be read, Error(argument) when it is of another model or says something else.
std::shared_ptr<const Calibration> read_calibration(const std::string& path, const std::string& model);

}  // namespace fovea
