// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/state.h — the recorded parameter lists (golden/state/<module>.txt.gz).
#pragma once
#include <string>

namespace fovea::golden {

/// The lines of one model, or "" where the file or the model is not there. Beside models/<module>.json lies
/// state/<module>.txt.gz.
std::string recorded_state(const std::string& models_json, const std::string& model);
/// The first lines in which two lists differ, for people.
std::string first_differences(const std::string& ours, const std::string& recorded, int most = 5);

}  // namespace fovea::golden
