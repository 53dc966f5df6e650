// SPDX-License-Identifier: Apache-2.0
// weights_tools/edit.cpp — names by their prefix.
#include "weights_tools/edit.h"

namespace fovea {

bool any_below(const StateDict& weights, std::string_view prefix) {
  for (const auto& [name, t] : weights)
    if (name.starts_with(prefix)) return true;
  return false;
}

}  // namespace fovea
