// SPDX-License-Identifier: Apache-2.0
#include "data/contact_sheet.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace fovea::data {

Image contact_sheet(const Tensor& images, std::span<const float> mean, std::span<const float> std, int columns) {
  const auto count = static_cast<int>(images.dim(0)), channels = static_cast<int>(images.dim(1)),
             height = static_cast<int>(images.dim(2)), width = static_cast<int>(images.dim(3));
  if (columns < 1 || count < 1)
    throw Error(Error::Kind::argument, str_cat(count, " images in rows of ", columns), "one at least, in rows of one");
  constexpr int border = 4;
  const int across = std::min(columns, count), down = (count + columns - 1) / columns;
  Image sheet = make_image(across * (width + border) + border, down * (height + border) + border, channels);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), uint8_t{255});
  const std::span<const float> values = images.data<float>();
  size_t at = 0;
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < channels; ++c) {
      const auto k = static_cast<size_t>(c);
      const float m = mean[k % mean.size()], s = std[k % std.size()];
      for (int y = 0; y < height; ++y) {
        uint8_t* to = sheet.row(border + i / columns * (height + border) + y) +
                      static_cast<size_t>(border + i % columns * (width + border)) * static_cast<size_t>(channels) + k;
        for (int x = 0; x < width; ++x, to += channels)
          *to = static_cast<uint8_t>(std::nearbyint(std::clamp((values[at++] * s + m) * 255, 0.0f, 255.0f)));
      }
    }
  return sheet;
}

}  // namespace fovea::data
