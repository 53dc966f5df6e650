// SPDX-License-Identifier: Apache-2.0
// data/image.cpp — making images, checking them, and between grey and colour.
#include "data/image.h"

#include <algorithm>

#include "engine/core/error.h"

namespace fovea::data {

// More than any real image: keeps a slip in a size from asking for terabytes.
static constexpr int64_t kMostPixels = int64_t{1} << 30;

void check_size(int width, int height, int channels) {
  if (width < 1 || height < 1 || int64_t{width} * height > kMostPixels)
    throw Error(Error::Kind::argument, str_cat("an image cannot be ", width, "x", height, " pixels"),
                str_cat("width and height must be at least 1, and their product at most ", kMostPixels));
  if (channels != 1 && channels != 3)
    throw Error(Error::Kind::argument, str_cat("an image cannot have ", channels, " channels"),
                "1 (grey) and 3 (red, green, blue) are possible");
}

Image make_image(int width, int height, int channels) {
  check_size(width, height, channels);
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(image.pitch() * static_cast<size_t>(height));
  return image;
}

void paint(Image& image, std::span<const uint8_t> colour) {
  const std::span<uint8_t> all(image.pixels);
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < channels; ++c) all[c] = colour[c % colour.size()];
  for (size_t done = channels; done < all.size(); done *= 2)       // what there is, once more
    std::copy_n(all.begin(), std::min(done, all.size() - done), all.begin() + static_cast<std::ptrdiff_t>(done));
}

void check(const Image& image) {
  check_size(image.width, image.height, image.channels);
  if (const size_t need = image.pitch() * static_cast<size_t>(image.height); image.pixels.size() != need)
    throw Error(Error::Kind::argument,
                str_cat("an image of ", image.width, "x", image.height, "x", image.channels, " has ",
                        image.pixels.size(), " bytes of pixels"),
                str_cat("it needs ", need));
}

Image to_grey(const Image& image) {
  check(image);
  if (image.channels == 1) return image;
  Image grey = make_image(image.width, image.height, 1);
  const uint8_t* in = image.pixels.data();
  for (uint8_t& out : grey.pixels) {
    out = static_cast<uint8_t>((in[0] * 19595 + in[1] * 38470 + in[2] * 7471 + 0x8000) >> 16);
    in += 3;
  }
  return grey;
}

Image to_rgb(const Image& image) {
  check(image);
  if (image.channels == 3) return image;
  Image colour = make_image(image.width, image.height, 3);
  uint8_t* out = colour.pixels.data();
  for (uint8_t v : image.pixels) {
    out[0] = out[1] = out[2] = v;
    out += 3;
  }
  return colour;
}

}  // namespace fovea::data
