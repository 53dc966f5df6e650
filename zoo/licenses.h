// SPDX-License-Identifier: Apache-2.0
// zoo/licenses.h — what published weights may be used for.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "zoo/pretrained.h"

namespace fovea::zoo {

/// Is it one of those, as the catalogue writes them, that allow no commercial use? Of those that it does not know, and
/// where nothing is said, false.
bool forbids_commercial_use(std::string_view license);

/// Is the row's license one of these, in any case? With none, any will do.
bool is_licensed(const PretrainedCfg& row, std::span<const std::string> allowed);
/// Throws Error(argument) that names the license otherwise.
void want_licensed(const PretrainedCfg& row, std::span<const std::string> allowed);

}  // namespace fovea::zoo
