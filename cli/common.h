// SPDX-License-Identifier: Apache-2.0
// cli/common.h — what several sub-commands share: a model from the command line, and images on their way into it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/transform.h"
#include "engine/graph/session.h"
#include "zoo/zoo.h"

namespace CLI {
class App;
}

namespace fovea::cli {

/// --weights, --threads, --dtype, --eager and what else decides how a model runs.
struct ModelArguments {
  std::string name, weights, dtype = "f32";
  int threads = 0;                                 // 0: as FOVEA_THREADS or the machine says
  bool eager = false;
};
void add_model_arguments(CLI::App& command, ModelArguments& a);

/// Creates the model, loads the weights and puts it into eval mode. Throws Error(argument) when no weights were given.
std::unique_ptr<zoo::ImageModel> load_model(const ModelArguments& a);

/// Images -> logits, compiled for one batch size or eagerly.
class Classifier {
 public:
  Classifier(zoo::ImageModel& model, const ModelArguments& a, int batch = 1);
  Tensor operator()(const Tensor& images);         // f32[batch, C, H, W] -> f32[batch, classes]

 private:
  zoo::ImageModel& model_;
  bool eager_;
  DType dtype_;
  Session session_;
};

/// How the model wants its images, from its row of the catalogue.
data::EvalConfig eval_config(const zoo::ImageModel& model);

/// "2.35 ms", "1.20 s"
std::string duration(double seconds);
double now();                                      // seconds, monotonic

}  // namespace fovea::cli
