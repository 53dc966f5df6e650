// SPDX-License-Identifier: Apache-2.0
// zoo/registry.h — looking up a name among the families that were built in.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "zoo/family.h"

namespace fovea::zoo {

struct Entry {
  const Family* family;
  size_t index;
};
const Entry* find_entry(std::string_view architecture);    // null when there is none
const Entry& known_entry(std::string_view architecture);   // throws Error(not_found) with the closest names
std::vector<std::string> all_names();                      // in natural order
/// Adds a family that is not part of the library, for good: create(), list() and the rest know its names from then on.
/// No other thread may use the zoo meanwhile. Throws Error(argument) where one of its names is there already.
void add_family(const Family& family);

}  // namespace fovea::zoo
