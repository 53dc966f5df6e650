// SPDX-License-Identifier: Apache-2.0
// data/braces.h — names of many files by one pattern: "train-{000..146}.tar".
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace fovea::data {

/// As a shell expands braces: {a,b}, {1..9}, {001..120}, {1..9..2}, {a..e}, within each other; what is no such list
/// stays as it is. Patterns with "::" between them are several. Throws Error(argument) for more than a million names.
std::vector<std::string> expand_braces(std::string_view pattern);

}  // namespace fovea::data
