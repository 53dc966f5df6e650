// SPDX-License-Identifier: Apache-2.0
// cli/dry_run.h — `fovea train --dry-run`: what a training would do, in words and in a picture of its images.
#pragma once
#include <string>

#include "cli/training_options.h"
#include "data/reader.h"
#include "data/loader.h"
#include "data/transform.h"
#include "train/optim/optimizer.h"
#include "train/schedule.h"
#include "zoo/zoo.h"

namespace fovea::cli {

/// What `train` has made before its first step; all is borrowed.
struct Prepared {
  const TrainingOptions& options;
  const std::string& settings;                     // settings_text()
  const zoo::ImageModel& model;
  train::Optimizer& optimizer;
  const train::Schedule& schedule;
  const data::Reader& images;                      // to train on
  int64_t validation;                              // how many there are to evaluate on
  const data::LoaderOptions& loader;               // of training
  const data::EvalConfig& eval;
  int64_t batches;                                 // an epoch
  std::string loss;
};
/// Recipe, groups of parameters and transforms to standard output; the first images of an epoch to
/// options.contact_sheet.
void dry_run(const Prepared& p);

}  // namespace fovea::cli
