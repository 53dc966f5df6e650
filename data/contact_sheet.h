// SPDX-License-Identifier: Apache-2.0
// data/contact_sheet.h — the images of a batch side by side in one picture, for people.
#pragma once
#include <span>

#include "data/image.h"
#include "engine/core/tensor.h"

namespace fovea::data {

/// Of f32[N, C, H, W], normalised by mean and std (one a channel, or one for all): so many a row, with a border around
/// each. What is beyond black and white is cut off.
Image contact_sheet(const Tensor& images, std::span<const float> mean, std::span<const float> std, int columns);

}  // namespace fovea::data
