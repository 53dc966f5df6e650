// SPDX-License-Identifier: Apache-2.0
// data/web_labels.h — labels and shards of WebDatasets as their JSON says them. Private to data/.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/target_fields.h"

namespace fovea::data {

struct WebLabels {
  std::vector<int64_t> labels;
  bool several = false;                            // a list, or a field a class
  bool none = false;                               // a negative label: the sample is left out
};
/// Throws Error(format) where there is no such field, or it says no class (timm: data/readers/targets.py).
WebLabels web_labels(const std::string& json, const std::vector<std::string>& keys, const TargetOptions& target,
                     const std::string& whose);

/// What a split's entry in the file of information lists; no file names where there is no such file or entry.
struct WebSplit {
  std::vector<std::string> shards;
  std::string alternative_label;                   // the field that has the label
};
WebSplit web_split(const std::string& root, const std::vector<std::string>& names);

}  // namespace fovea::data
