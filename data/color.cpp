// SPDX-License-Identifier: Apache-2.0
#include "data/color.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/clones.h"
#include "data/lookup.h"
#include "data/smooth.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

// Pillow's blend of bytes: in f32, cut to bytes where the share leads beyond the two.
FOVEA_CLONES void blend_bytes(const uint8_t* from, const uint8_t* to, float share, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    float v = static_cast<float>(from[i]) + share * static_cast<float>(to[i] - from[i]);
    v = v < 0 ? 0 : v;
    v = v > 255 ? 255 : v;
    out[i] = static_cast<uint8_t>(static_cast<int>(v));
  }
}

// A factor of 1 is the image, 0 the plain value.
Image from_plain(Image image, uint8_t plain, double factor) {
  Table before, plains, after;
  for (size_t v = 0; v < 256; ++v) before[v] = static_cast<uint8_t>(v);
  plains.fill(plain);
  blend_bytes(plains.data(), before.data(), static_cast<float>(factor), 256, after.data());
  return factor == 1 ? image : looked_up(std::move(image), {&after, 1});
}

double checked(double factor) {
  if (!(factor >= 0)) throw Error(Error::Kind::argument, str_cat("an image enhanced by ", factor), "0 is the least");
  return factor;
}

int reflected(int i, int n) {                      // -1 is 1, n is n - 2
  const int period = std::max(1, 2 * n - 2), at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

}  // namespace

Image blended(const Image& from, Image to, double share) {
  check(from), check(to);
  if (from.width != to.width || from.height != to.height || from.channels != to.channels)
    throw Error(Error::Kind::argument, str_cat("an image of ", from.width, "x", from.height, "x", from.channels,
                                               " is blended with one of ", to.width, "x", to.height, "x", to.channels));
  const auto f = static_cast<float>(share);
  if (f == 1) return to;
  blend_bytes(from.pixels.data(), to.pixels.data(), f, to.pixels.size(), to.pixels.data());
  return to;
}

Image with_brightness(Image image, double factor) { return from_plain(std::move(image), 0, checked(factor)); }

Image with_contrast(Image image, double factor) {
  const Image grey = to_grey(image);
  uint64_t sum = 0;
  for (const uint8_t v : grey.pixels) sum += v;
  const auto mean = static_cast<uint8_t>(static_cast<double>(sum) / static_cast<double>(grey.pixels.size()) + 0.5);
  return from_plain(std::move(image), mean, checked(factor));
}

Image with_saturation(Image image, double factor) {
  checked(factor);
  if (image.channels == 1) return image;
  const Image grey = to_rgb(to_grey(image));
  return blended(grey, std::move(image), factor);
}

Image with_sharpness(Image image, double factor) {
  const Image smooth = smoothed(image);
  return blended(smooth, std::move(image), checked(factor));
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
