// SPDX-License-Identifier: Apache-2.0
// train/optim/rules/projection.h — updates of weights whose scale does not matter, without what changes the scale
// alone: https://arxiv.org/abs/2006.08217.
#pragma once
#include "train/optim/rules/common.h"

namespace fovea::train {

struct Projected {
  Tensor update;
  Tensor decay;                                    // 0-d, the share of weight decay that is left
};

class Projection {
 public:
  Projection(Settings& s, double decay_left);
  /// Where gradient and weight are nearly at right angles, row by row or as a whole, and only for rank 2 and more.
  Projected operator()(const Tensor& p, const Tensor& g, const Tensor& update, bool caution) const;

 private:
  double delta_, decay_left_, eps_;
};

}  // namespace fovea::train
