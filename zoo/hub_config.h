// SPDX-License-Identifier: Apache-2.0
// zoo/hub_config.h — config.json, as timm writes it beside weights: which model, with which arguments, and what its
// classes are called.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "zoo/pretrained.h"

namespace fovea::zoo {

struct HubConfig {
  PretrainedCfg row;  // its architecture, and what pretrained_cfg says; nothing of where the weights are
  std::vector<std::pair<std::string, std::string>> model_args;  // values as ModelOptions::set has them
};

/// Also the flat form that timm wrote at first. Throws Error(format) for what is no such file.
HubConfig read_hub_config(const std::string& path);

/// The text of one, for weights that fit the row; empty lists are left out.
struct HubConfigParts {
  PretrainedCfg row;
  int num_features = 0;
  std::string global_pool;
  std::vector<std::pair<std::string, std::string>> model_args;
  std::vector<std::string> label_names;
  std::vector<std::pair<std::string, std::string>> label_descriptions;
};
std::string write_hub_config(const HubConfigParts& parts);

}  // namespace fovea::zoo
