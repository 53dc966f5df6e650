// SPDX-License-Identifier: Apache-2.0
#include "data/color.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

// Pillow's blend: in f32, cut to bytes where the factor leads beyond the two.
uint8_t mixed(uint8_t from, uint8_t to, float factor) {
  const float v = static_cast<float>(from) + factor * static_cast<float>(to - from);
  if (v <= 0) return 0;
  return v >= 255 ? 255 : static_cast<uint8_t>(v);
}

template <class From>
Image blend(Image image, double factor, From from) {
  if (!(factor >= 0)) throw Error(Error::Kind::argument, str_cat("an image enhanced by ", factor));
  if (factor == 1) return image;
  const auto f = static_cast<float>(factor);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = mixed(from(i), image.pixels[i], f);
  return image;
}

int reflected(int i, int n) {                      // -1 is 1, n is n - 2
  const int period = std::max(1, 2 * n - 2), at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

}  // namespace

Image with_brightness(Image image, double factor) {
  return blend(std::move(image), factor, [](size_t) { return uint8_t{0}; });
}

Image with_contrast(Image image, double factor) {
  const Image grey = to_grey(image);
  uint64_t sum = 0;
  for (const uint8_t v : grey.pixels) sum += v;
  const auto mean = static_cast<uint8_t>(static_cast<double>(sum) / static_cast<double>(grey.pixels.size()) + 0.5);
  return blend(std::move(image), factor, [mean](size_t) { return mean; });
}

Image with_saturation(Image image, double factor) {
  if (image.channels == 1) return image;
  const Image grey = to_grey(image);
  return blend(std::move(image), factor, [&](size_t i) { return grey.pixels[i / 3]; });
}

Image blurred(const Image& image, double sigma, int kernel) {
  check(image);
  const int half = kernel / 2, channels = image.channels;
  if (kernel % 2 == 0 || kernel < 1 || !(sigma > 0))
    throw Error(Error::Kind::argument, str_cat("a blur of ", kernel, " pixels, sigma ", sigma));
  std::vector<float> weights;
  float total = 0;
  for (int i = -half; i <= half; ++i) {
    const auto x = static_cast<float>(i / sigma);
    weights.push_back(std::exp(-0.5f * x * x));
    total += weights.back();
  }
  for (float& w : weights) w /= total;
  // along rows, then along columns
  std::vector<float> rows(image.pixels.size());
  const auto at = [&](int y, int x, int c) {
    return (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) *
               static_cast<size_t>(channels) + static_cast<size_t>(c);
  };
  const auto pass = [&](const auto& source, bool along_rows, const auto& put) {
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x)
        for (int c = 0; c < channels; ++c) {
          float sum = 0;
          for (int i = -half; i <= half; ++i) {
            const size_t from = along_rows ? at(y, reflected(x + i, image.width), c)
                                           : at(reflected(y + i, image.height), x, c);
            sum += weights[static_cast<size_t>(i + half)] * static_cast<float>(source[from]);
          }
          put(at(y, x, c), sum);
        }
  };
  Image out = make_image(image.width, image.height, channels);
  pass(image.pixels, true, [&](size_t i, float v) { rows[i] = v; });
  pass(rows, false, [&](size_t i, float v) {
    out.pixels[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(v), 0.0f, 255.0f));
  });
  return out;
}

}  // namespace fovea::data
