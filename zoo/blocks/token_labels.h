// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/token_labels.h — models that can learn from labels of every token: https://arxiv.org/abs/2104.10858
#pragma once
#include "engine/core/tensor.h"

namespace fovea::zoo {

/// What is compared with labels: pooled features, classes of each token [N, L, classes], and the rectangle of tokens
/// (top, left, bottom, right) that came from the batch in reverse.
struct TokenLabels {
  Tensor pooled, aux, box;
};

class TokenLabelledModel {
 public:
  /// `aux` and `box` are absent without a classifier of tokens.
  virtual TokenLabels forward_train(const Tensor& image) = 0;

 protected:
  ~TokenLabelledModel() = default;
};

}  // namespace fovea::zoo
