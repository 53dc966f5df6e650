// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <algorithm>
#include <cmath>

#include "data/transform.h"
#include "engine/core/error.h"
#include "engine/core/philox.h"

namespace fovea::data {
namespace {

struct Window {
  int left, top, width, height;
};

Window centred(const Image& image, int width, int height) {
  return {(image.width - width) / 2, (image.height - height) / 2, width, height};
}

// Ten tries at an area and a shape that fit; then the largest centre whose shape is allowed.
Window random_window(const Image& image, const TrainConfig& c, Chance& chance) {
  const double area = static_cast<double>(image.width) * image.height;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double wanted = chance.between(c.scale[0], c.scale[1]) * area;
    const double ratio = std::exp(chance.between(std::log(c.ratio[0]), std::log(c.ratio[1])));
    const int width = static_cast<int>(std::nearbyint(std::sqrt(wanted * ratio)));
    const int height = static_cast<int>(std::nearbyint(std::sqrt(wanted / ratio)));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const int top = chance.upto(image.height - height), left = chance.upto(image.width - width);
    return {left, top, width, height};
  }
  const double shape = static_cast<double>(image.width) / image.height;
  const auto rounded = [](double v) { return std::max(1, static_cast<int>(std::nearbyint(v))); };
  if (shape < c.ratio[0]) return centred(image, image.width, std::min(image.height, rounded(image.width / c.ratio[0])));
  if (shape > c.ratio[1])
    return centred(image, std::min(image.width, rounded(image.height * c.ratio[1])), image.height);
  return centred(image, image.width, image.height);
}

}  // namespace

double Chance::uniform() {
  const std::array<uint32_t, 4> words = philox(key_, drawn_++);
  return static_cast<double>((uint64_t{words[0]} << 21) ^ (words[1] >> 11)) * 0x1p-53;
}
int Chance::upto(int most) { return std::min(most, static_cast<int>(uniform() * (most + 1.0))); }

Image crop(const Image& image, int left, int top, int width, int height) {
  if (left < 0 || top < 0 || width < 1 || height < 1 || left + width > image.width || top + height > image.height)
    throw Error(Error::Kind::argument, cat("a crop of ", width, "x", height, " at ", left, ",", top, " of an image of ",
                                           image.width, "x", image.height));
  Image out = make_image(width, height, image.channels);
  for (int y = 0; y < height; ++y)
    std::copy_n(image.row(top + y) + static_cast<size_t>(left) * static_cast<size_t>(image.channels), out.pitch(),
                out.row(y));
  return out;
}

Image mirrored(Image image, bool across, bool upside_down) {
  const auto n = static_cast<size_t>(image.channels);
  if (across)
    for (int y = 0; y < image.height; ++y) {
      uint8_t* row = image.row(y);
      for (size_t a = 0, b = static_cast<size_t>(image.width) - 1; a < b; ++a, --b)
        std::swap_ranges(row + a * n, row + (a + 1) * n, row + b * n);
    }
  if (upside_down)
    for (int a = 0, b = image.height - 1; a < b; ++a, --b)
      std::swap_ranges(image.row(a), image.row(a) + image.pitch(), image.row(b));
  return image;
}

Image train_crop(const Image& given, const TrainConfig& c, Chance& chance) {
  check(given);
  const auto [channels, height, width] = c.input_size;
  const Image image = given.channels == channels ? given : channels == 1 ? to_grey(given) : to_rgb(given);
  if (!c.augment)
    return eval_crop(image, {.input_size = c.input_size,
                             .interpolation = c.interpolation.value_or(Filter::bilinear),
                             .crop_pct = 1,
                             .crop_mode = CropMode::center,
                             .mean = c.mean,
                             .std = c.std});
  const Window w = random_window(image, c, chance);
  const Filter filter = c.interpolation ? *c.interpolation
                        : chance.uniform() < 0.5 ? Filter::bilinear
                                                 : Filter::bicubic;
  Image out = resize(crop(image, w.left, w.top, w.width, w.height), width, height, filter);
  const bool across = chance.uniform() < c.hflip, upside_down = chance.uniform() < c.vflip;
  return mirrored(std::move(out), across, upside_down);
}

Tensor train_transform(const Image& image, const TrainConfig& c, uint64_t key) {
  Chance chance(key);
  return to_tensor(train_crop(image, c, chance), c.mean, c.std);
}

}  // namespace fovea::data
