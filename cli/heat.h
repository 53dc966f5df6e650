// SPDX-License-Identifier: Apache-2.0
// cli/heat.h — a map of numbers laid over a picture in colours, and pictures beside each other.
#pragma once
#include <vector>

#include "data/image.h"
#include "engine/core/tensor.h"

namespace fovea::cli {

/// The map f32[h, w], its least value cold and its largest hot, enlarged to the picture and mixed with it in grey.
data::Image overlay(const data::Image& picture, const Tensor& map);
/// So many pictures of one size a row, with a margin around each.
data::Image beside(const std::vector<data::Image>& pictures, int columns, int margin = 8);

}  // namespace fovea::cli
