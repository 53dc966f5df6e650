// SPDX-License-Identifier: Apache-2.0
// train/loss.h — the losses of classifiers, of one label an image or of several.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

/// A scalar of logits [N, C] and targets: classes i64[N], or a number for each class [N, C].
struct Loss {
  virtual ~Loss() = default;
  virtual Tensor operator()(const Tensor& logits, const Tensor& target) const = 0;
};

struct LossOptions {
  std::string kind{};                              // ce, bce, asl, poly, jsd, twoway, zlpr, db; "": bce for several
                                                   // labels, else ce
  bool multi_label = false;                        // targets are independent of one another, [N, C]
  bool soft_targets = false;                       // targets were mixed, which smoothed them already
  double smoothing = 0;
  // one for all, or one a class; bce, and asl of several labels; of ce the first, one a class
  std::vector<double> class_weight{}, pos_weight{};
  std::optional<double> bce_target_thresh{};       // targets above it count as 1, others as 0
  bool bce_sum = false;                            // over classes, before the mean over images
  double asl_gamma_pos = 1, asl_gamma_neg = 4, asl_clip = 0.05;
  double poly_epsilon = 2, poly_gamma = 0;
  std::optional<double> poly_alpha{};
  int64_t jsd_splits = 0;
  double twoway_tp = 4, twoway_tn = 1;
  std::vector<double> class_counts{};              // db: images of each class, of so many
  double num_samples = 0;
  double db_neg_scale = 2, db_init_bias = 0.05, db_focal_gamma = 2;
};

/// Throws Error(argument) for combinations that mean nothing.
std::shared_ptr<const Loss> classification_loss(const LossOptions& o);

}  // namespace fovea::train
