// SPDX-License-Identifier: Apache-2.0
// cli/evaluate.h — how good a model is on a folder of images: timm's accuracies, precision, recall and F1.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "data/loader.h"
#include "engine/graph/batch_session.h"
#include "train/fit.h"
#include "zoo/zoo.h"

namespace fovea::cli {

/// Counts what logits say of targets.
class Scores {
 public:
  void add(const Tensor& logits, const Tensor& targets);   // f32[N, C], i64[N]
  int64_t images() const { return images_; }
  train::Evaluation evaluation() const;
  /// In per cent, over the classes that occur or were answered: each alike ("macro"), by how often it occurs
  /// ("weighted"), or all answers together ("micro").
  struct Averages {
    double precision = 0, recall = 0, f1 = 0;
  };
  Averages averages(const std::string& kind) const;

 private:
  struct Class {
    int64_t is = 0, answered = 0, both = 0;
  };
  std::vector<Class> classes_;
  int64_t images_ = 0, top1_ = 0, top5_ = 0;
  double loss_ = 0;
};

/// A model in eval mode, compiled as it is now, one image a thread.
class Answerer {
 public:
  explicit Answerer(zoo::ImageModel& model);
  Tensor operator()(const Tensor& images);         // f32[N, C, H, W] -> logits, overwritten by the next call

 private:
  BatchSession session_;
};

/// Over all batches of the loader. `counted` is told how many images there were so far; null: nobody.
Scores score(zoo::ImageModel& model, data::Loader& loader, bench::Counter* counted = nullptr);

}  // namespace fovea::cli
