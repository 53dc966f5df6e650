// SPDX-License-Identifier: Apache-2.0
#include "cli/heat.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::cli {
namespace {

// From cold to hot, of growing lightness, so that a print in grey says the same.
constexpr std::array<std::array<double, 3>, 6> kRamp{
    {{20, 22, 60}, {60, 30, 130}, {150, 40, 130}, {226, 80, 70}, {250, 160, 40}, {252, 240, 150}}};

std::array<double, 3> colour_of(double v) {
  const double at = std::clamp(v, 0.0, 1.0) * (kRamp.size() - 1);
  const size_t low = std::min(static_cast<size_t>(at), kRamp.size() - 2);
  std::array<double, 3> out{};
  for (size_t c = 0; c < 3; ++c) out[c] = std::lerp(kRamp[low][c], kRamp[low + 1][c], at - static_cast<double>(low));
  return out;
}

}  // namespace

data::Image overlay(const data::Image& picture, const Tensor& map) {
  const data::Image rgb = data::to_rgb(picture), grey = data::to_grey(picture);
  const Tensor large = contiguous(interpolate(reshape(map, {1, 1, map.dim(0), map.dim(1)}), {rgb.height, rgb.width},
                                              {.mode = Interpolation::linear}));
  const double low = amin(map).item(), high = amax(map).item(), range = high > low ? high - low : 1;
  const std::span<const float> values = large.data<float>();
  data::Image out = rgb;
  for (size_t i = 0; i < values.size(); ++i) {
    const double v = (static_cast<double>(values[i]) - low) / range, share = 0.25 + 0.5 * std::clamp(v, 0.0, 1.0);
    const std::array<double, 3> colour = colour_of(v);
    for (size_t c = 0; c < 3; ++c)
      out.pixels[3 * i + c] =
          static_cast<uint8_t>(std::lround(std::lerp(static_cast<double>(grey.pixels[i]), colour[c], share)));
  }
  return out;
}

data::Image beside(const std::vector<data::Image>& pictures, int columns, int margin) {
  if (pictures.empty()) throw Error(Error::Kind::argument, "no pictures to lay beside each other");
  const int width = pictures[0].width, height = pictures[0].height;
  const int rows = (static_cast<int>(pictures.size()) + columns - 1) / columns;
  data::Image out = data::make_image(columns * (width + margin) + margin, rows * (height + margin) + margin, 3);
  std::fill(out.pixels.begin(), out.pixels.end(), uint8_t{255});
  for (size_t i = 0; i < pictures.size(); ++i) {
    const data::Image one = data::to_rgb(pictures[i]);
    if (one.width != width || one.height != height)
      throw Error(Error::Kind::argument, str_cat("a picture of ", one.width, " x ", one.height, " beside those of ",
                                                 width, " x ", height));
    const int left = margin + static_cast<int>(i) % columns * (width + margin),
              top = margin + static_cast<int>(i) / columns * (height + margin);
    for (int y = 0; y < height; ++y) std::copy_n(one.row(y), one.pitch(), out.row(top + y) + 3 * left);
  }
  return out;
}

}  // namespace fovea::cli
