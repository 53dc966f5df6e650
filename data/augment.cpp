// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/color.h"
#include "data/resize.h"
#include "data/transform.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

struct Window {
  int left, top, width, height;
};

struct Extent {
  int width, height;
};
Extent extent(const Image& image) { return {image.width, image.height}; }

Window centred(Extent image, int width, int height) {
  return {(image.width - width) / 2, (image.height - height) / 2, width, height};
}

// Ten tries at an area and a shape that fit; then the largest centre whose shape is allowed.
Window random_window(Extent image, const TrainConfig& c, Chance& chance) {
  const double area = static_cast<double>(image.width) * image.height;
  const auto scale = c.scale.value_or(std::array{0.08, 1.0}), shapes = c.ratio.value_or(std::array{3.0 / 4, 4.0 / 3});
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double wanted = chance.between(scale[0], scale[1]) * area;
    const double ratio = std::exp(chance.between(std::log(shapes[0]), std::log(shapes[1])));
    const int width = static_cast<int>(std::nearbyint(std::sqrt(wanted * ratio)));
    const int height = static_cast<int>(std::nearbyint(std::sqrt(wanted / ratio)));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const int top = chance.upto(image.height - height), left = chance.upto(image.width - width);
    return {left, top, width, height};
  }
  const double shape = static_cast<double>(image.width) / image.height;
  const auto rounded = [](double v) { return std::max(1, static_cast<int>(std::nearbyint(v))); };
  if (shape < shapes[0]) return centred(image, image.width, std::min(image.height, rounded(image.width / shapes[0])));
  if (shape > shapes[1])
    return centred(image, std::min(image.width, rounded(image.height * shapes[1])), image.height);
  return centred(image, image.width, image.height);
}

int reflected(int i, int n) {
  const int period = std::max(1, 2 * n - 2), at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

// The window, which may reach beyond the image: there it is mirrored.
Image window_of(const Image& image, const Window& w) {
  Image out = make_image(w.width, w.height, image.channels);
  const auto channels = static_cast<size_t>(image.channels);
  for (int y = 0; y < w.height; ++y)
    for (int x = 0; x < w.width; ++x)
      std::copy_n(image.row(reflected(w.top + y, image.height)) +
                      static_cast<size_t>(reflected(w.left + x, image.width)) * channels,
                  channels, out.row(y) + static_cast<size_t>(x) * channels);
  return out;
}

// Resized about as far as the shorter edge needs to fit, and then cut.
Image keep_ratio(const Image& image, const TrainConfig& c, Filter filter, Chance& chance) {
  const auto [channels, height, width] = c.input_size;
  const auto scale = c.scale.value_or(std::array{0.8, 1.0}), shapes = c.ratio.value_or(std::array{0.9, 1 / 0.9});
  const double fit = std::min(static_cast<double>(image.height) / height, static_cast<double>(image.width) / width);
  double tall = 1, wide = 1;
  if (chance.uniform() < 0.5) tall = wide = 1 / std::sqrt(chance.between(scale[0], scale[1]));
  if (chance.uniform() < 0.5) {
    const double shape = std::sqrt(std::exp(chance.between(std::log(shapes[0]), std::log(shapes[1]))));
    tall /= shape;
    wide *= shape;
  }
  const auto size = [&](int n, double by) { return std::max(1, static_cast<int>(std::nearbyint(n * by / fit))); };
  const Image resized = resize(image, size(image.width, wide), size(image.height, tall), filter);
  const auto first = [&](int n, int wanted) {
    return c.crop == TrainCrop::rkrr ? somewhere_in(n, wanted, chance) : middle_in(n, wanted);
  };
  const int top = first(resized.height, height);
  return window_of(resized, {first(resized.width, width), top, width, height});
}

Image jittered(Image image, double most, Chance& chance) {
  std::array<int, 3> order{0, 1, 2};
  for (int i = 2; i > 0; --i) std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(chance.upto(i))]);
  for (const int which : order) {
    const double factor = chance.between(std::max(0.0, 1 - most), 1 + most);
    if (which == 0) image = with_brightness(std::move(image), factor);
    else if (which == 1) image = with_contrast(std::move(image), factor);
    else image = with_saturation(std::move(image), factor);
  }
  return image;
}

}  // namespace

Image with_channels(const Image& given, int channels) {
  if (given.channels == channels) return {};
  return channels == 1 ? to_grey(given) : to_rgb(given);
}

Filter drawn_filter(const TrainConfig& c, Chance& chance) {
  if (c.interpolation) return *c.interpolation;
  return chance.uniform() < 0.5 ? Filter::bilinear : Filter::bicubic;
}

Image recoloured(Image image, const TrainConfig& c, Chance& chance) {
  if (c.policy) image = (*c.policy)(std::move(image), chance);
  if (c.color_jitter > 0 && (c.color_jitter_prob >= 1 || chance.uniform() < c.color_jitter_prob))
    image = jittered(std::move(image), c.color_jitter, chance);
  if (c.grayscale_prob > 0 && chance.uniform() < c.grayscale_prob && image.channels == 3)
    image = to_rgb(to_grey(image));
  if (c.blur_prob > 0 && chance.uniform() < c.blur_prob) image = blurred(image, chance.between(0.1, 2));
  return image;
}

TrainCrop parse_train_crop(std::string_view name) {
  if (name == "rrc") return TrainCrop::rrc;
  if (name == "rkrc") return TrainCrop::rkrc;
  if (name == "rkrr") return TrainCrop::rkrr;
  throw Error(Error::Kind::argument, str_cat("no crop of training '", name, "'"), "there are: rrc, rkrc, rkrr");
}

Erasing::Fill parse_fill(std::string_view name) {
  if (name == "const") return Erasing::Fill::zero;
  if (name == "rand") return Erasing::Fill::colour;
  if (name == "pixel") return Erasing::Fill::pixel;
  throw Error(Error::Kind::argument, str_cat("nothing to erase with is called '", name, "'"),
              "there are: const, rand, pixel");
}

int middle_in(int size, int window) {
  const int room = size - window;
  return room >= 0 ? static_cast<int>(std::nearbyint(room / 2.0)) : -(-room / 2);
}

int somewhere_in(int size, int window, Chance& chance) {
  const int room = size - window;
  return room >= 0 ? chance.upto(room) : -chance.upto(-room);
}

namespace {

template <size_t kChannels>
void reverse_pixels(uint8_t* row, size_t width) {
  for (uint8_t *a = row, *b = row + (width - 1) * kChannels; a < b; a += kChannels, b -= kChannels) {
    std::array<uint8_t, kChannels> left, right;
    std::copy_n(a, kChannels, left.begin());
    std::copy_n(b, kChannels, right.begin());
    std::ranges::copy(right, a);
    std::ranges::copy(left, b);
  }
}

}  // namespace

Image mirrored(Image image, bool across, bool upside_down) {
  const auto reverse = image.channels == 3 ? reverse_pixels<3> : reverse_pixels<1>;
  if (across)
    for (int y = 0; y < image.height; ++y) reverse(image.row(y), static_cast<size_t>(image.width));
  if (upside_down)
    for (int a = 0, b = image.height - 1; a < b; ++a, --b)
      std::swap_ranges(image.row(a), image.row(a) + image.pitch(), image.row(b));
  return image;
}

namespace {

Image cropped(const Image& given, const TrainConfig& c, Chance& chance) {
  check(given);
  const auto [channels, height, width] = c.input_size;
  const Image converted = with_channels(given, channels);
  const Image& image = converted.pixels.empty() ? given : converted;
  if (!c.augment)
    return eval_crop(image, {.input_size = c.input_size,
                             .interpolation = c.interpolation.value_or(Filter::bilinear),
                             .crop_pct = 1,
                             .crop_mode = CropMode::center,
                             .mean = c.mean,
                             .std = c.std});
  const Window w = c.crop == TrainCrop::rrc ? random_window(extent(image), c, chance) : Window{};
  const Filter filter = drawn_filter(c, chance);
  Image out = c.crop == TrainCrop::rrc
                  ? resize(crop(image, w.left, w.top, w.width, w.height), width, height, filter)
                  : keep_ratio(image, c, filter, chance);
  const bool across = chance.uniform() < c.hflip, upside_down = chance.uniform() < c.vflip;
  return mirrored(std::move(out), across, upside_down);
}

}  // namespace

Image train_crop(const Image& image, const TrainConfig& c, Chance& chance) {
  Image out = cropped(image, c, chance);
  return c.augment ? recoloured(std::move(out), c, chance) : out;
}

namespace {

struct Plane {
  int channels, height, width;
};

void fill(std::span<float> image, const Plane& p, const Window& w, Erasing::Fill how, Chance& chance) {
  for (int c = 0; c < p.channels; ++c) {
    const auto colour = static_cast<float>(how == Erasing::Fill::colour ? chance.normal() : 0.0);
    for (int y = w.top; y < w.top + w.height; ++y) {
      const auto row = image.subspan((static_cast<size_t>(c) * static_cast<size_t>(p.height) + static_cast<size_t>(y)) *
                                             static_cast<size_t>(p.width) + static_cast<size_t>(w.left),
                                     static_cast<size_t>(w.width));
      if (how == Erasing::Fill::pixel) chance.normals(row);
      else std::fill(row.begin(), row.end(), colour);
    }
  }
}

// Ten tries a rectangle at an area and a shape that fit.
void erase_one(std::span<float> image, const Plane& p, const Erasing& how, Chance& chance) {
  if (chance.uniform() > how.prob) return;
  const double area = static_cast<double>(p.height) * p.width;
  const int count = how.most > 1 ? 1 + chance.upto(how.most - 1) : 1;
  for (int i = 0; i < count; ++i)
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double wanted = chance.between(0.02, 1.0 / 3) * area / count;
      const double shape = std::exp(chance.between(std::log(0.3), std::log(1 / 0.3)));
      const int h = static_cast<int>(std::nearbyint(std::sqrt(wanted * shape))),
                w = static_cast<int>(std::nearbyint(std::sqrt(wanted / shape)));
      if (h >= p.height || w >= p.width) continue;
      const int top = chance.upto(p.height - h), left = chance.upto(p.width - w);
      fill(image, p, {left, top, w, h}, how.fill, chance);
      break;
    }
}

}  // namespace

void erase(Tensor& images, const Erasing& how, Chance& chance, int64_t spared) {
  if (how.prob <= 0) return;
  const Plane p{static_cast<int>(images.dim(1)), static_cast<int>(images.dim(2)), static_cast<int>(images.dim(3))};
  const std::span<float> values = images.mutable_data<float>();
  const size_t each = values.size() / static_cast<size_t>(images.dim(0));
  for (int64_t i = spared; i < images.dim(0); ++i)
    erase_one(values.subspan(static_cast<size_t>(i) * each, each), p, how, chance);
}

Part train_part(int width, int height, const TrainConfig& c, uint64_t key) {
  if (!c.augment || c.crop != TrainCrop::rrc) return {0, 0, width, height};
  Chance chance(key);
  const Window w = random_window({width, height}, c, chance);
  return {w.left, w.top, w.width, w.height};
}

void train_views(const Image& image, const TrainConfig& c, uint64_t key, std::span<Tensor> out, bool spare_first) {
  Chance chance(key);
  const Image first = cropped(image, c, chance);
  for (size_t i = 0; i < out.size(); ++i) {
    const bool plain = !c.augment || (i == 0 && out.size() > 1);
    to_tensor(plain ? first : recoloured(first, c, chance), c.mean, c.std, out[i].mutable_data<float>());
    if (i > 0 || !spare_first) erase(out[i], c.erasing, chance);
  }
}

std::vector<Tensor> train_views(const Image& image, const TrainConfig& c, uint64_t key, int views,
                                bool spare_first) {
  std::vector<Tensor> out;
  const auto [channels, height, width] = c.input_size;
  for (int i = 0; i < views; ++i) out.push_back(empty({1, channels, height, width}));
  train_views(image, c, key, out, spare_first);
  return out;
}

Tensor train_transform(const Image& image, const TrainConfig& c, uint64_t key) {
  return train_views(image, c, key, 1)[0];
}

}  // namespace fovea::data
