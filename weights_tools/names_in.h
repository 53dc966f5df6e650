// SPDX-License-Identifier: Apache-2.0
// weights_tools/names_in.h — what lies in a folder, without std::filesystem's iterators: these end the process when
// memory runs out.
#pragma once
#include <string>
#include <vector>

namespace fovea {

/// Names without `.` and `..`, in no order. Those that were read before an error count; `problem`, where given, is its
/// errno, else 0.
std::vector<std::string> names_in(const std::string& folder, int* problem = nullptr);

}  // namespace fovea
