// SPDX-License-Identifier: Apache-2.0
// data/color.h — colours of images: brighter, of more contrast, paler, blurred; with the bytes of Pillow and
// torchvision.
#pragma once
#include "data/image.h"

namespace fovea::data {

/// A factor of 1 leaves the image as it is, 0 gives black, a plain grey, or the image without colours.
Image with_brightness(Image image, double factor);
Image with_contrast(Image image, double factor);
Image with_saturation(Image image, double factor);
/// By a Gaussian over `kernel` pixels, which is odd; edges are mirrored.
Image blurred(const Image& image, double sigma, int kernel = 23);

}  // namespace fovea::data
