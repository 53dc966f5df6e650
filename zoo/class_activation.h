// SPDX-License-Identifier: Apache-2.0
// zoo/class_activation.h — where in an image a class is seen: Grad-CAM on the last map in front of the head.
#pragma once
#include <cstdint>

#include "zoo/image_model.h"

namespace fovea::zoo {

struct ClassActivation {
  Tensor map;                                      // f32[h, w], 0 to 1; all 0 where nothing speaks for the class
  Tensor logits;                                   // f32[1, classes]
  int64_t label = 0;
};

/// https://arxiv.org/abs/1610.02391: the channels of forward_features(), each weighted by the mean of the class's logit
/// differentiated by it, summed, and what is negative left out. Image f32[1, C, H, W]; a negative label is the largest
/// logit's. Tokens are a map without those that stand for no part of the image. Throws Error(unsupported) for features
/// that lie nowhere, or where the head looks at no part of them, such as a class token alone; Error(argument) for a
/// label that there is not.
ClassActivation class_activation(ImageModel& model, const Tensor& image, int64_t label = -1);

}  // namespace fovea::zoo
