// SPDX-License-Identifier: Apache-2.0
// train/logistic.h — multinomial logistic regression with an L2 penalty: the best linear classifier of given features.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

struct LogisticOptions {
  double l2 = 1;                                   // of l2/2 |W|^2 beside the sum of the losses: scikit-learn's 1/C
  std::vector<double> class_weight{};              // of each image's loss, by its class; empty: all 1
  int64_t most_iterations = 1000;
  double tolerance = 1e-4;                         // of the gradient's largest part, of the mean over the images
};

struct LogisticFit {
  Tensor weight, bias;                             // f32[classes, features], f32[classes]
  int64_t iterations = 0;
  double objective = 0;                            // the weighted sum of the losses and the penalty
  bool converged = false;                          // else it ended at most_iterations or could not go on
};

/// The minimum of sum_i w_i cross_entropy(W x_i + b, y_i) + l2/2 |W|^2, in which biases cost nothing, by L-BFGS
/// (Nocedal and Wright, Numerical Optimization, 2006, 7.2) from zeros: what scikit-learn's LogisticRegression(C=1/l2)
/// minimises. Features f32[N, D]; labels N numbers below `classes`. Throws Error(argument) for labels and weights that
/// do not fit, and for features that are not finite.
LogisticFit fit_logistic(const Tensor& features, std::span<const int64_t> labels, int64_t classes,
                         const LogisticOptions& o = {});

/// f32[N, classes]
Tensor logits_of(const LogisticFit& fit, const Tensor& features);

/// The share of rows whose largest logit is the label's, in per cent.
double accuracy(const Tensor& logits, std::span<const int64_t> labels);

}  // namespace fovea::train
