// SPDX-License-Identifier: Apache-2.0
// data/image.h — Image: 8-bit pixels in memory, the form between a decoded file and a tensor.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fovea::data {

/// Rows top-down, channels interleaved, no padding between rows.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;             // 1 (grey) or 3 (red, green, blue)
  std::vector<uint8_t> pixels;  // width * height * channels

  size_t pitch() const { return static_cast<size_t>(width) * static_cast<size_t>(channels); }  // bytes in a row
  uint8_t* row(int y) { return pixels.data() + static_cast<size_t>(y) * pitch(); }
  const uint8_t* row(int y) const { return pixels.data() + static_cast<size_t>(y) * pitch(); }
  friend bool operator==(const Image&, const Image&) = default;
};

using Colour = std::array<uint8_t, 3>;  // of grey images the first

void check_size(int width, int height, int channels);   // throws Error when no image can be like that
Image make_image(int width, int height, int channels);  // black; checks the size
void check(const Image& image);                         // throws Error unless sizes, channels and pixels agree
void paint(Image& image, std::span<const uint8_t> colour);  // all of it: one value a channel, or one for all
Image to_grey(const Image& image);                      // ITU-R 601-2 luma with Pillow's 16-bit weights
Image to_rgb(const Image& image);

}  // namespace fovea::data
