// SPDX-License-Identifier: Apache-2.0
// data/affine.h — images turned, sheared and moved, with the bytes of Pillow's Image.transform and Image.rotate.
#pragma once
#include "data/image.h"
#include "data/resize.h"

namespace fovea::data {

/// Where the centre (x, y) of a pixel of the result lies in the source: (a x + b y + c, d x + e y + f).
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;
};

/// An image of the same size; what lies outside the source is `fill`. Filters are nearest, bilinear and bicubic; others
/// throw Error(argument), as do matrices with values that are not finite.
Image transformed(const Image& image, const Affine& to_source, Filter filter, const Colour& fill);
/// Throws Error(argument) for filters that transformed() refuses.
void check_transform_filter(Filter filter);
/// Counter-clockwise about the middle, by degrees.
Image rotated(const Image& image, double degrees, Filter filter, const Colour& fill);

}  // namespace fovea::data
