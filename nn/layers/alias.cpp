// SPDX-License-Identifier: Apache-2.0
// nn/layers/alias.cpp — Alias.
#include "nn/layers/alias.h"

namespace fovea {

Alias::Alias(Module& of) : of_(&of) {
  for (const Param& p : of.own_parameters()) share(p.slot().name, p);
  for (const auto& child : of.children()) add(child->name(), Alias(*child));
}

}  // namespace fovea
