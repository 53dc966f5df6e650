// SPDX-License-Identifier: Apache-2.0
// zoo/hub_folder.h — a model as a folder that others open: config.json, model.safetensors and a README.md.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "zoo/image_model.h"

namespace fovea::zoo {

struct HubFolderOptions {
  ModelOptions made_with{};                        // what create() was given
  std::vector<std::string> label_names{};          // of each class; none: nobody knows
  std::vector<std::pair<std::string, std::string>> label_descriptions{};   // of a label name
  std::string license{};                           // empty: as the model's row says
};

/// timm opens it as "local-dir:folder", and, uploaded, as "hf-hub:organisation/name". Each file appears whole or not at
/// all; other files of the folder stay. Throws Error(unsupported) for options that timm has no name for.
void write_hub_folder(ImageModel& model, const std::string& folder, const HubFolderOptions& o = {});

}  // namespace fovea::zoo
