// SPDX-License-Identifier: Apache-2.0
// data/smooth.h — images smoothed, with the bytes of Pillow's ImageFilter.
#pragma once
#include "data/image.h"

namespace fovea::data {

/// Each pixel and its eight neighbours, 5 to 1; those at the edges stay (ImageFilter.SMOOTH).
Image smoothed(const Image& image);
/// Three boxes in each direction, which come near a Gaussian of that deviation; edges are repeated
/// (ImageFilter.GaussianBlur). Throws Error(argument) for a radius that is negative or not finite.
Image box_blurred(const Image& image, double radius);

}  // namespace fovea::data
