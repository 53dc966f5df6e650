// SPDX-License-Identifier: Apache-2.0
#include "data/smooth.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/clones.h"
#include "data/transpose.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

// Pillow adds up in f32 and cuts off. A sum over 13, plus a half, is never nearer to a whole number than 1/26, so that
// whole numbers say the same; and 5042 / 2^16 is near enough to 1/13 for all sums that there are.
FOVEA_CLONES void smooth_row(const uint8_t* above, const uint8_t* row, const uint8_t* below, size_t step, size_t count,
                             uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const size_t b = i + step, c = i + 2 * step;
    const auto sum = static_cast<uint16_t>(above[i] + above[b] + above[c] + row[i] + 5 * row[b] + row[c] + below[i] +
                                           below[b] + below[c] + 6);
    out[b] = static_cast<uint8_t>(static_cast<uint32_t>(sum) * 5042 >> 16);
  }
}

// A box of 2 radius + 1 pixels and a share of one more at each end, in 1/2^24.
struct Box1D {
  int radius;
  uint32_t whole, end;
};

Box1D box_of(float radius) {
  constexpr int passes = 3;
  const float variance = radius * radius / passes;
  const auto length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  const float wanted = whole + part;
  Box1D box{.radius = static_cast<int>(wanted), .whole = 0, .end = 0};
  box.whole = static_cast<uint32_t>((1 << 24) / (wanted * 2 + 1));
  box.end = ((1u << 24) - static_cast<uint32_t>(box.radius * 2 + 1) * box.whole) / 2;
  return box;
}

FOVEA_CLONES void box_row(const uint8_t* gone, const uint8_t* come, const uint8_t* far, const Box1D& box, size_t count,
                          uint32_t* sums, uint8_t* out) {
  const uint32_t whole = box.whole, end = box.end;
  for (size_t i = 0; i < count; ++i) {
    sums[i] += static_cast<uint32_t>(come[i]) - gone[i];
    const uint32_t v = sums[i] * whole + (uint32_t{gone[i]} + far[i]) * end;
    out[i] = static_cast<uint8_t>((v + (1u << 23)) >> 24);
  }
}

// One box over `count` rows of `width` bytes, column by column.
void box_pass(const uint8_t* in, size_t width, int count, const Box1D& box, uint8_t* out, std::vector<uint32_t>& sums) {
  const auto row = [&](int64_t y) {
    return in + static_cast<size_t>(std::clamp<int64_t>(y, 0, count - 1)) * width;
  };
  const int64_t radius = box.radius;
  std::fill(sums.begin(), sums.end(), 0u);                   // of the box around row -1
  for (int64_t y = -1 - radius; y < radius; ++y)
    for (size_t i = 0; i < width; ++i) sums[i] += row(y)[i];
  for (int y = 0; y < count; ++y)
    box_row(row(y - radius - 1), row(y + radius), row(y + radius + 1), box, width, sums.data(),
            out + static_cast<size_t>(y) * width);
}

void box_passes(std::vector<uint8_t>& pixels, size_t width, int count, const Box1D& box) {
  std::vector<uint8_t> other(pixels.size());
  std::vector<uint32_t> sums(width);
  for (int pass = 0; pass < 3; ++pass) {
    box_pass(pixels.data(), width, count, box, other.data(), sums);
    pixels.swap(other);
  }
}

}  // namespace

Image smoothed(const Image& image) {
  check(image);
  Image out = image;
  if (image.width < 3 || image.height < 3) return out;
  const auto channels = static_cast<size_t>(image.channels);
  for (int y = 1; y + 1 < image.height; ++y)
    smooth_row(image.row(y - 1), image.row(y), image.row(y + 1), channels, image.pitch() - 2 * channels, out.row(y));
  return out;
}

Image box_blurred(const Image& image, double radius) {
  check(image);
  if (!(radius >= 0 && radius < 1e4)) throw Error(Error::Kind::argument, str_cat("a blur of radius ", radius));
  if (radius == 0) return image;
  const Box1D box = box_of(static_cast<float>(radius));
  const auto height = static_cast<size_t>(image.height), pitch = image.pitch();
  // Along rows: columns become rows, so that a pixel is so many bytes, one for each row and channel.
  std::vector<uint8_t> columns(image.pixels.size());
  transpose(image.pixels.data(), pitch, height, pitch, columns.data(), height);
  box_passes(columns, height * static_cast<size_t>(image.channels), image.width, box);
  Image out = make_image(image.width, image.height, image.channels);
  transpose(columns.data(), height, pitch, height, out.pixels.data(), pitch);
  box_passes(out.pixels, pitch, image.height, box);
  return out;
}

}  // namespace fovea::data
