// SPDX-License-Identifier: Apache-2.0
// zoo/overlay.h — fields of a PretrainedCfg by timm's names: for what others say about weights, and for what a caller
// wants otherwise.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "zoo/model_options.h"
#include "zoo/pretrained.h"

namespace fovea::zoo {

/// Lists have commas between their values; one value stands for all three of mean and std. "img_size" is height and
/// width of input_size, in_chans its channels. Texts are of copies that stay. Throws Error(argument) for a field that
/// is not there (with the closest ones) and for text that is no such value.
void change_field(PretrainedCfg& row, std::string_view field, std::string_view text);
bool is_field(std::string_view name);
std::vector<std::string> field_names();

/// Moves such fields from ModelOptions::set into the row: "pretrained_cfg.crop_pct", and "crop_pct" unless the family
/// has a setting of that name itself.
using Named = std::vector<std::pair<std::string, std::string>>;
void overlay(PretrainedCfg& row, Named& set, const Named& settings_of_family);

}  // namespace fovea::zoo
