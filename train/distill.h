// SPDX-License-Identifier: Apache-2.0
// train/distill.h — distillation: a model learns from what a larger one, which stays as it is, makes of the same
// images.
#pragma once
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "train/step.h"

namespace fovea::train {

/// What a model gives beside logits: pooled features, f32[N, C].
struct FeatureReader {
  virtual ~FeatureReader() = default;
  virtual std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const = 0;   // features, logits
};

/// What the two classifiers of a student say, f32[N, classes] each: one learns from labels, the other from the teacher.
struct HeadsReader {
  virtual ~HeadsReader() = default;
  virtual std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const = 0;
};

struct DistillOptions {
  std::shared_ptr<const Loss> loss{};              // of the task; null: cross entropy
  // of loss = task task_loss + distill distance; absent: 1, but where only the task's is given the other is 1 less it
  std::optional<double> task_weight{}, distill_weight{};
  double temperature = 4;                          // of softmax, for the distance of logits
  std::shared_ptr<const FeatureReader> features{}; // given: the distance is that of features, their mean squared one
  // given: the distance is between the second classifier's logits and the teacher's (https://arxiv.org/abs/2012.12877)
  std::shared_ptr<const HeadsReader> heads{};
  bool hard = false;                               // ... or its cross entropy to the teacher's most probable class
  // how images were normalised for either, where that differs
  std::vector<float> student_mean{}, student_std{}, teacher_mean{}, teacher_std{};
};

/// The distance of logits is the Kullback-Leibler divergence of their softmax, per image, times the square of the
/// temperature. The teacher, in eval mode, is shared with whoever made it.
std::shared_ptr<const Objective> distillation(std::shared_ptr<Module> teacher, DistillOptions options);

}  // namespace fovea::train
