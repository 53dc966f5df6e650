// SPDX-License-Identifier: Apache-2.0
// train/optim/groups.h — parameters by name, and the groups of them that an optimizer treats alike.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"

namespace fovea::train {

/// Shared with the modules that hold it: it outlives a classifier that is replaced.
struct SharedParameter {
  std::string name;
  std::shared_ptr<Parameter> parameter;
  Tensor& tensor() const { return parameter->value; }
};
/// Module::named_parameters(), those that require gradients.
std::vector<SharedParameter> trainable(Module& m);

struct ParameterGroup {
  std::string name;                                       // "decay", "layer_3_no_decay"
  std::vector<SharedParameter> parameters;
  double weight_decay = 0;
  double lr_scale = 1;                                    // of the optimizer's learning rate
  bool fallback = false;                                  // for hybrid rules: by the simpler of the two
};

struct GroupOptions {
  double weight_decay = 0;
  bool exclude_1d = true;                                 // biases and norms are spared
  /// Patterns (glob_match()) of names that weight decay spares, and of those for the fall-back of hybrid rules.
  std::vector<std::string> no_weight_decay{}, fallback{};
  bool fallback_no_weight_decay = false;                  // the former belong to the latter, too
  /// Given: one group a layer, whose rate is scaled by layer_decay^(layers behind it), but not below the least one.
  std::optional<double> layer_decay{};
  double layer_decay_min_scale = 0;
  double layer_decay_no_opt_scale = 0;                    // layers that are scaled below this are frozen
  std::vector<std::pair<std::string, int>> layers{};      // each name's layer, zoo::layer_numbers(); empty: all are one
};
/// As timm forms them: what is spared comes first. A group that would be empty is left out.
std::vector<ParameterGroup> parameter_groups(Module& m, const GroupOptions& o = {});

/// For models that name no layers: names in their order, so many a layer; those of the classifier are the last one.
std::vector<std::pair<std::string, int>> automatic_layers(const Module& m, std::string_view classifier,
                                                          int names_a_layer = 12);

}  // namespace fovea::train
