// SPDX-License-Identifier: Apache-2.0
// data/resize.h — resizing with the bytes of Pillow's Image.resize, for grey and RGB images.
#pragma once
#include <cstdint>
#include <string_view>

#include "data/image.h"

namespace fovea::data {

/// Pillow's resampling filters; all but `nearest` average over the source when shrinking.
enum class Filter : uint8_t { nearest, box, bilinear, hamming, bicubic, lanczos };
std::string_view name_of(Filter filter);
Filter parse_filter(std::string_view name);  // timm's names; throws Error

/// The part of the source that is resized, in source pixels.
struct Box {
  float left = 0, top = 0, right = 0, bottom = 0;
};

Image resize(const Image& image, int width, int height, Filter filter = Filter::bicubic);
Image resize(const Image& image, int width, int height, Filter filter, const Box& box);

/// A rectangle of the result, in its pixels.
struct Part {
  int left = 0, top = 0, width = 0, height = 0;
};
/// What resize() gives, cut down to `part`; the rest is not computed, so that it may be larger than any image.
Image resize_part(const Image& image, int width, int height, Filter filter, const Part& part);
/// The pixels of an image of this size that resize_part() reads; or a few more.
Part source_part(int image_width, int image_height, int width, int height, Filter filter, const Part& part);
/// These pixels as they are. Throws Error(argument) where the image does not have all of them.
Image crop(const Image& image, int left, int top, int width, int height);

}  // namespace fovea::data
