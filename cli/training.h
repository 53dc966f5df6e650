// SPDX-License-Identifier: Apache-2.0
// cli/training.h — what `train`, `validate` and `infer` make of their options: models, and images as these want them.
#pragma once
#include <csignal>
#include <memory>
#include <string>

#include "cli/training_options.h"
#include "data/loader.h"
#include "zoo/zoo.h"

namespace fovea::cli {

zoo::ModelOptions model_options(const InputOptions& o);
/// As the model's row says, and then as the options do.
data::EvalConfig eval_config(const zoo::ImageModel& model, const InputOptions& o);
std::vector<std::string> class_map(const InputOptions& o);

/// While alive, the first Ctrl-C (or SIGTERM) only says so, and a second one ends the process.
class FirstInterrupt {
 public:
  FirstInterrupt();
  ~FirstInterrupt();
  FirstInterrupt(const FirstInterrupt&) = delete;
  FirstInterrupt& operator=(const FirstInterrupt&) = delete;
  static bool came();

 private:
  struct sigaction before_[2];
};

}  // namespace fovea::cli
