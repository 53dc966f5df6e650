// SPDX-License-Identifier: Apache-2.0
// nn/layers/label_decoder.h — a head for many labels at once: each group of classes looks for its own in the image.
#pragma once
#include "nn/layers/linear.h"
#include "nn/module.h"

namespace fovea {

struct LabelDecoderOptions {
  int groups = 100;                                // of classes, one query each; at most one for each class
  int embedding = 768;                             // channels inside
  int heads = 8, hidden = 2048;
  double drop = 0.1;
};

/// From a map N,C,H,W or tokens [N, L, C] to [N, classes]: timm's MLDecoder, https://arxiv.org/abs/2111.12933. Queries
/// are drawn once and stay. Throws Error(argument) for fewer than one class or group.
class LabelDecoder final : public Module {
 public:
  LabelDecoder(int channels, int classes, const LabelDecoderOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  struct Layer;
  int classes_;
  Param pooling_, pooling_bias_, queries_;
  Ref<Linear> embed_;
  Ref<Layer> layer_;
};

}  // namespace fovea
