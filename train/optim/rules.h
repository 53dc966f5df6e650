// SPDX-License-Identifier: Apache-2.0
// train/optim/rules.h — rule(): update rules by timm's names.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "train/optim/rule.h"

namespace fovea::train {

/// Settings by PyTorch's names; flags are 0 or 1, betas are "beta1", "beta2", "beta3".
using RuleSettings = std::map<std::string, double>;

/// "adamw", "cadamw", "lookahead_radam". What is not set is as timm has it. Throws Error(argument) for a name that is
/// not there, with the closest ones, and for settings that the rule does not know.
RulePtr rule(std::string_view name, const RuleSettings& settings = {});
std::vector<std::string> rule_names();             // in order, without what lookahead_ makes of them
/// Settings that many rules have, such as momentum, are left out for those that have them not.
RuleSettings settings_of(std::string_view name, const RuleSettings& wanted);

}  // namespace fovea::train
