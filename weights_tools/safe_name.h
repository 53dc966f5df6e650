// SPDX-License-Identifier: Apache-2.0
// weights_tools/safe_name.h — names of files that others made up: may they be joined to a folder?
#pragma once
#include <string_view>

namespace fovea {

/// Is this a relative path with "/" between its parts that stays below the folder it is joined to, on POSIX and on
/// Windows? No "..", ".", empty part, drive, backslash or control character; no part that ends in a dot or a space or
/// that Windows keeps for a device.
bool is_safe_name(std::string_view name);

}  // namespace fovea
