// SPDX-License-Identifier: Apache-2.0
// cli/head.h — `fovea train --head-only`: features are computed once, and a classifier of them is learnt in seconds.
#pragma once
#include <string>

#include "cli/training_options.h"
#include "cli/training_page.h"
#include "data/reader.h"
#include "zoo/zoo.h"

namespace fovea::cli {

struct HeadRun {
  const TrainingOptions& options;
  zoo::ImageModel& model;                          // with its weights; its classifier is replaced
  const data::Reader& training;
  const data::Reader* validation;             // null: cross-validation says how good it is
  std::string folder;                              // of checkpoints
  std::string settings;                            // args.yaml
  TrainingPage* page;                              // null: there is none
};
/// Throws Error(argument) beside options that a head alone has no use for, and Error(unsupported) for models whose
/// logits are not a linear layer of their pooled features.
void train_head(const HeadRun& run);
/// Throws Error(argument) for options that exclude --head-only.
void check_head_only(const TrainingOptions& o);

}  // namespace fovea::cli
