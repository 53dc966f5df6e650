// SPDX-License-Identifier: Apache-2.0
// train/multi_label.h — how good answers are where an image has several labels: average precision and F1.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

/// The area under precision over recall in steps, as scikit-learn's average_precision_score: sum (R_n - R_n-1) P_n over
/// the distinct scores, the highest first. NaN where nothing is positive.
double average_precision(std::span<const float> scores, std::span<const bool> positive);

struct MultiLabelScores {
  double map = 0;                                  // mean of the classes that some image has; all of these in per cent
  double micro_f1 = 0, macro_f1 = 0, sample_f1 = 0;
  std::vector<double> average_precision;           // of each class; NaN where no image has it
  std::vector<double> f1;                          // likewise; 0 where it is neither there nor said
};

/// Gathers answers of batches.
class MultiLabel {
 public:
  /// `threshold`: a class is said where its logit is above it; 0 is a probability of one half.
  explicit MultiLabel(double threshold = 0) : threshold_(threshold) {}
  /// Logits f32[N, C] and targets [N, C], which are positive above one half. Throws Error(shape) where they differ.
  void add(const Tensor& logits, const Tensor& targets);
  int64_t images() const { return images_; }
  /// Micro: over all answers together; macro: the mean over classes; sample: the mean over images. A ratio of nothing
  /// to nothing counts as 0, as scikit-learn's zero_division=0.
  MultiLabelScores scores() const;

 private:
  double threshold_;
  int64_t images_ = 0, classes_ = 0;
  std::vector<float> logits_;                      // all of them, row by row
  std::vector<uint8_t> positive_;
};

}  // namespace fovea::train
