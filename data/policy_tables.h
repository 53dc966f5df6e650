// SPDX-License-Identifier: Apache-2.0
// data/policy_tables.h — the operations of timm's policies: searched rows, sets and weights.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "data/augment_op.h"

namespace fovea::data {

/// AutoAugment's rows by name. Throws Error(argument) for a name that is none.
std::vector<std::vector<AugmentOp>> policy_rows(std::string_view name);

struct Weighted {
  std::string_view name;
  double weight = 0;                               // 0: all alike
};
/// RandAugment's operations: of the set `weights`, `3a`, `3aw`, or "" for the usual ones. Throws Error(argument) for
/// others. `increasing`: usual ones that do the more the higher the magnitude.
std::span<const Weighted> augment_set(std::string_view name, bool increasing);
std::span<const Weighted> augmix_set();

}  // namespace fovea::data
