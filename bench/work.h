// SPDX-License-Identifier: Apache-2.0
// bench/work.h — Work: a model with a batch that it computes over and over, for inference or a step of training.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "engine/graph/batch_session.h"
#include "train/step.h"
#include "zoo/plan_cache.h"
#include "zoo/zoo.h"

namespace fovea::bench {

struct WorkOptions {
  std::string model, weights, input, dtype = "f32";        // without weights: the model's first values
  std::shared_ptr<const Calibration> calibration;          // of int8; none: of the bench's own input
  int batch = 1;
  int img_size = 0;                                // height and width; 0: the model's own
  std::vector<std::string> without{};              // passes that compiling leaves out
  bool train = false, eager = false;
  bool reparam = false;                            // branches become one layer first, as timm's reparameterize_model()
  bool cache = false;                              // with weights, compiled: take the session from the plan cache
};

class Work {
 public:
  explicit Work(const WorkOptions& o);
  Tensor operator()();                             // the logits, or the loss
  std::vector<double> profile();                   // seconds of each step of session()
  /// Of a whole batch, or of one image where images run side by side. Throws Error(unsupported) when it runs eagerly.
  Session& session();
  bool side_by_side() const { return side_by_side_; }
  int64_t arena_bytes();                           // of all threads where images run side by side
  bool from_cache() const { return from_cache_; }
  /// Puts the session into the plan cache where that was asked for and it is not there yet.
  void keep();
  zoo::ImageModel& model() const { return *model_; }
  const WorkOptions& options() const { return options_; }

 private:
  void prepare_training();
  void load();
  void compile();
  void take(Session s);
  Target target();
  zoo::ModelOptions model_options() const;

  WorkOptions options_;
  std::unique_ptr<zoo::ImageModel> model_;
  Tensor input_, targets_;
  Session session_;                                // unless it is in batch_
  BatchSession batch_;
  bool side_by_side_ = false;
  std::optional<zoo::PlanCache> cache_;
  bool from_cache_ = false;
  std::unique_ptr<train::Optimizer> optimizer_;
  std::unique_ptr<train::Step> step_;
};

/// Milliseconds of each of so many runs.
std::vector<double> time_ms(Work& work, int runs);

}  // namespace fovea::bench
