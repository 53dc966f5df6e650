// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/two_heads.h — models whose two classifiers are no single layers, and whose mean counts.
#pragma once
#include <utility>

#include "engine/core/tensor.h"

namespace fovea::zoo {

class TwoHeadedModel {
 public:
  /// What each says: training by distillation compares them with different labels. The second is absent where there is
  /// one.
  virtual std::pair<Tensor, Tensor> heads(const Tensor& features) = 0;

 protected:
  ~TwoHeadedModel() = default;
};

}  // namespace fovea::zoo
