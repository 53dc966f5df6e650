// SPDX-License-Identifier: Apache-2.0
// train/folds.h — how good a linear classifier is on images that it did not learn from: cross-validation.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/logistic.h"

namespace fovea::train {

/// The fold of each image, 0 to folds - 1, in which every class is spread alike. Throws Error(argument) for fewer
/// images than folds.
std::vector<int> stratified_folds(std::span<const int64_t> labels, int folds, uint64_t seed);

struct FoldScores {
  std::vector<double> accuracies;                  // in per cent, of each fold by the classifier of the others
  double mean = 0, deviation = 0;                  // the latter of the folds
};
FoldScores cross_validate(const Tensor& features, std::span<const int64_t> labels, int64_t classes,
                          const LogisticOptions& o, std::span<const int> folds);

/// The strength of these whose classifiers are the most accurate in cross-validation; of equally good ones the largest.
struct Strength {
  double l2 = 1;
  FoldScores scores;
};
Strength best_strength(const Tensor& features, std::span<const int64_t> labels, int64_t classes, LogisticOptions o,
                       std::span<const int> folds, std::span<const double> strengths);

/// N / (classes * images of the class), scikit-learn's "balanced"; 0 for classes without images. Throws Error(argument)
/// for labels of other classes.
std::vector<double> balanced_weights(std::span<const int64_t> labels, int64_t classes);

}  // namespace fovea::train
