// SPDX-License-Identifier: Apache-2.0
// data/color.h — colours of images: brighter, of more contrast, paler, blurred; with the bytes of Pillow and
// torchvision.
#pragma once
#include "data/image.h"

namespace fovea::data {

/// A share of 0 is `from`, 1 is `to`, which is as large; beyond these colours are led on (Image.blend).
Image blended(const Image& from, Image to, double share);
/// A factor of 1 leaves the image as it is, 0 gives black, a plain grey, the image without
/// colours, or smoothed.
Image with_brightness(Image image, double factor);
Image with_contrast(Image image, double factor);
Image with_saturation(Image image, double factor);
Image with_sharpness(Image image, double factor);
/// By a Gaussian over `kernel` pixels, which is odd; edges are mirrored.
Image blurred(const Image& image, double sigma, int kernel = 23);

}  // namespace fovea::data
