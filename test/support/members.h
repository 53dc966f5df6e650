// SPDX-License-Identifier: Apache-2.0
// test/support/members.h — one small member of each family that is built in, for tests of what holds for all families.
#pragma once
#include <string>
#include <vector>

#include "engine/core/types.h"
#include "zoo/model_options.h"

namespace fovea {

struct Member {
  std::string module, name;
  zoo::ModelOptions options;                       // what makes it smaller
  Shape images;                                    // [B, C, H, W]
};

/// The first case of each family in test/golden/levels. Throws Error(io) when a family has none.
std::vector<Member> members();

}  // namespace fovea
