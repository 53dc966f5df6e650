// SPDX-License-Identifier: Apache-2.0
// cli/training.h — what `train`, `validate` and `infer` make of their options: models, and images as these want them.
#pragma once
#include <atomic>
#include <csignal>
#include <memory>
#include <string>

#include "cli/training_options.h"
#include "data/loader.h"
#include "data/reader.h"
#include "zoo/zoo.h"

namespace fovea::cli {

/// `name`: of the model, which is not told of a size of images that its family takes as they come.
zoo::ModelOptions model_options(const InputOptions& o, const std::string& name);
/// As the model's row says, and then as the options do.
data::EvalConfig eval_config(const zoo::ImageModel& model, const InputOptions& o);
/// The images of a split below `root`, with the classes of --class-map, else of `classes`, else as they are found.
std::unique_ptr<data::Reader> open_images(const InputOptions& o, const std::string& root, const std::string& split,
                                          const std::vector<std::string>& classes = {});

/// What `train` reads images by.
data::LoaderOptions loader_options(const TrainingOptions& o, const data::EvalConfig& eval, zoo::ImageModel& model,
                                   int classes, const data::Shard& shard = {});
/// Images in a batch of one process, on average, of so many that it has; of sequences those of the longest.
double usual_batch(const TrainingOptions& o, int64_t images);

/// While alive, the first Ctrl-C (or SIGTERM) only says so, and a second one ends the process.
class FirstInterrupt {
 public:
  FirstInterrupt();
  ~FirstInterrupt();
  FirstInterrupt(const FirstInterrupt&) = delete;
  FirstInterrupt& operator=(const FirstInterrupt&) = delete;
  static bool came() { return flag(); }
  static const std::atomic<bool>& flag();

 private:
  struct sigaction before_[2];
};

}  // namespace fovea::cli
