// SPDX-License-Identifier: Apache-2.0
// cli/objective.h — what `fovea train` minimises.
#pragma once
#include <memory>
#include <string>

#include "cli/training_options.h"
#include "train/step.h"
#include "zoo/zoo.h"

namespace fovea::cli {

/// `several`: labels an image. `usual`: images in a batch whose gradients count once.
std::shared_ptr<const train::Objective> objective_of(const TrainingOptions& o, const zoo::ImageModel& model,
                                                     bool several, double usual);
/// In words.
std::string loss_text(const TrainingOptions& o, bool several);

}  // namespace fovea::cli
