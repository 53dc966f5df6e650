// SPDX-License-Identifier: Apache-2.0
// zoo/finite.h — why a model's answer holds NaN or infinity: the tensor of its weights, or the layer, that began it.
#pragma once
#include <span>

#include "engine/core/error.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

/// Throws Error(weights) that names the first tensor of the model which is not finite, with the value and its place.
/// Reads all of them: for weights that are about to be rounded to integers, which have no NaN.
void want_finite_weights(const ImageModel& model);

/// What is wrong when results are not finite: the first tensor of the weights that is not, else the images, else the
/// first layer whose result is not although its operands are (found by running the model on them, op by op), else that
/// only the compiled model is at fault. Looks for it on the spot: for when all_finite() has said that something is.
/// Throws Error(argument) for a model without bytes.
Error why_not_finite(ImageModel& model, const Tensor& images);

}  // namespace fovea::zoo
