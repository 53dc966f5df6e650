// SPDX-License-Identifier: Apache-2.0
// api/preprocess.h — from an image to what a model takes: the whole of timm's evaluation transform, by the model's row.
#pragma once
#include "data/transform.h"
#include "zoo/image_model.h"

namespace fovea {

/// How the model wants its images: size, interpolation, crop, mean and deviation, as its row of the catalogue says, for
/// the channels and the size that it was built for. Rows have means of three channels: where these differ, and the
/// model takes grey images, ModelOptions::set says which ("mean", "0.5").
data::EvalConfig eval_config(const zoo::ImageModel& model);

/// f32[1, C, H, W]; several go together by cat(tensors, 0).
Tensor preprocess(const zoo::ImageModel& model, const data::Image& image);

}  // namespace fovea
