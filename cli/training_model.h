// SPDX-License-Identifier: Apache-2.0
// cli/training_model.h — the model that `fovea train` begins with, and which of its parameters are trained how.
#pragma once
#include <memory>
#include <vector>

#include "cli/training_options.h"
#include "train/optim/groups.h"
#include "zoo/zoo.h"

namespace fovea::cli {

using Model = std::unique_ptr<zoo::ImageModel>;

zoo::ModelOptions wanted_model(const TrainingOptions& o, int classes);
/// With its first weights, of whatever origin.
Model make_model(const TrainingOptions& o, const zoo::ModelOptions& wanted);
/// Of all parameters but frozen ones.
void ask_for_gradients(zoo::ImageModel& model, const TrainingOptions& o);
std::vector<train::ParameterGroup> groups_of(zoo::ImageModel& model, const TrainingOptions& o);

}  // namespace fovea::cli
