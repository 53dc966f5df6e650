// SPDX-License-Identifier: Apache-2.0
// data/transform.cpp — timm's evaluation transform with the roundings of timm, torchvision and Python.
#include "data/transform.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string>

#include "engine/core/error.h"

namespace fovea::data {

static constexpr std::string_view kCropModes[] = {"center", "squash", "border"};

std::string_view name_of(CropMode mode) { return kCropModes[static_cast<size_t>(mode)]; }

CropMode parse_crop_mode(std::string_view name) {
  for (size_t i = 0; i < std::size(kCropModes); ++i)
    if (kCropModes[i] == name) return static_cast<CropMode>(i);
  throw Error(Error::Kind::argument, str_cat("no crop mode '", name, "'"), "known: center, squash, border");
}

namespace {

constexpr int kTooLarge = 2'000'000'000;

/// Sizes past any image stay past any image instead of overflowing.
int to_int(double v) { return static_cast<int>(std::min<double>(v, kTooLarge)); }

/// Python's round(): halves go to the even neighbour.
int round_half_even(double v) {
  const double below = std::floor(v), rest = v - below;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2.0) != 0.0);
  return to_int(below + (up ? 1.0 : 0.0));
}

/// The double that a float's shortest decimal text means: 0.8f is 0.800000012, but its writer meant 0.8, and
/// floor(224 / crop_pct) tells the two apart.
double as_written(float v) {
  char text[32];
  double out = v;
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  std::from_chars(text, end, out);
  return out;
}

struct Size {
  int height, width;
};

/// torchvision's Resize(int): the shorter edge becomes `edge`, the longer one is cut to an integer.
Size shorter_edge(Size image, int edge) {
  const int shorter = std::min(image.width, image.height), longer = std::max(image.width, image.height);
  const int other = to_int(static_cast<double>(int64_t{edge} * longer) / shorter);
  return image.width <= image.height ? Size{other, edge} : Size{edge, other};
}

/// timm's ResizeKeepRatio: one factor for both edges, from the edge that fits last (`inside`) or first.
Size keep_ratio(Size image, Size to, bool inside) {
  const double ratio_h = static_cast<double>(image.height) / to.height,
               ratio_w = static_cast<double>(image.width) / to.width;
  const double ratio = inside ? std::max(ratio_h, ratio_w) : std::min(ratio_h, ratio_w);
  return {round_half_even(image.height / ratio), round_half_even(image.width / ratio)};
}

/// Where the crop and the image overlap along one axis.
struct Span {
  int from, to, count;  // in the image, in the crop
};
Span overlap(int image, int crop) {
  if (crop > image) return {0, (crop - image) / 2, image};
  return {round_half_even((image - crop) / 2.0), 0, crop};
}

/// The centre of the resized image; where it is smaller than the crop, `fill` around it. Only what shows is computed.
Image resized_crop(const Image& image, Size resized, Filter filter, Size crop, const Colour& fill) {
  const Span x = overlap(resized.width, crop.width), y = overlap(resized.height, crop.height);
  const Image centre = resize_part(image, resized.width, resized.height, filter, {x.from, y.from, x.count, y.count});
  if (x.count == crop.width && y.count == crop.height) return centre;
  Image out = make_image(crop.width, crop.height, image.channels);
  const size_t channels = static_cast<size_t>(image.channels);
  paint(out, fill);
  for (int row = 0; row < y.count; ++row)
    std::copy_n(centre.row(row), centre.pitch(), out.row(y.to + row) + static_cast<size_t>(x.to) * channels);
  return out;
}

void check(const EvalConfig& config) {
  const auto [channels, height, width] = config.input_size;
  const auto fits = [&](const std::vector<float>& v) {
    return v.size() == 1 || static_cast<int>(v.size()) == channels;
  };
  if ((channels != 1 && channels != 3) || height < 1 || width < 1)
    throw Error(Error::Kind::argument, str_cat("input size (", channels, ", ", height, ", ", width, ") cannot be"),
                "1 or 3 channels, height and width of at least 1");
  if (!(config.crop_pct > 0.001f && config.crop_pct < 1000))
    throw Error(Error::Kind::argument, str_cat("crop_pct ", config.crop_pct, " cannot be"), "0.875 is usual");
  for (float v : config.mean)
    if (!std::isfinite(v)) throw Error(Error::Kind::argument, str_cat("mean has the value ", v));
  if (!fits(config.mean) || !fits(config.std))
    throw Error(Error::Kind::argument, str_cat("mean has ", config.mean.size(), " values and std has ",
                                               config.std.size(), ", for ", channels, " channels"));
}

/// What an image of this size is resized to, before it is cropped.
Size resized_size(Size image, const EvalConfig& config) {
  const double crop_pct = as_written(config.crop_pct);
  const Size scale{to_int(config.input_size[1] / crop_pct), to_int(config.input_size[2] / crop_pct)};
  if (config.crop_mode == CropMode::border) return keep_ratio(image, scale, true);
  if (config.crop_mode == CropMode::squash) return scale;
  return scale.height == scale.width ? shorter_edge(image, scale.height) : keep_ratio(image, scale, false);
}

bool is_possible(Size s) { return s.height >= 1 && s.width >= 1 && std::max(s.height, s.width) < kTooLarge; }

}  // namespace

Part eval_part(int width, int height, const EvalConfig& config) {
  check(config);
  const Size to = resized_size({height, width}, config);
  if (config.interpolation == Filter::nearest || !is_possible(to)) return {0, 0, width, height};
  const Span x = overlap(to.width, config.input_size[2]), y = overlap(to.height, config.input_size[1]);
  return source_part(width, height, to.width, to.height, config.interpolation, {x.from, y.from, x.count, y.count});
}

Colour mean_colour(std::span<const float> mean) {
  Colour fill{};
  for (size_t c = 0; c < fill.size(); ++c) {
    const int v = round_half_even(255 * as_written(mean[c % mean.size()]));
    fill[c] = static_cast<uint8_t>(std::clamp(v, 0, 255));
  }
  return fill;
}

Image eval_crop(const Image& image, const EvalConfig& config) {
  check(image);
  check(config);
  Image converted;
  if (image.channels != config.input_size[0]) converted = image.channels == 3 ? to_grey(image) : to_rgb(image);
  const Image& source = converted.pixels.empty() ? image : converted;
  const Size crop{config.input_size[1], config.input_size[2]};
  const Size to = resized_size({source.height, source.width}, config);
  const Colour fill = config.crop_mode == CropMode::border ? mean_colour(config.mean) : Colour{};
  if (!is_possible(to))
    throw Error(Error::Kind::argument,
                str_cat("an image of ", source.width, "x", source.height, " pixels for a crop of ", crop.width, "x",
                        crop.height, " would be resized to ", to.width, "x", to.height),
                "it is too thin, or crop_pct too small");
  return resized_crop(source, to, config.interpolation, crop, fill);
}

void to_tensor(const Image& image, std::span<const float> mean, std::span<const float> std, std::span<float> out) {
  check(image);
  const size_t channels = static_cast<size_t>(image.channels);
  const auto fits = [&](std::span<const float> v) { return v.size() == 1 || v.size() == channels; };
  if (!fits(mean) || !fits(std))
    throw Error(Error::Kind::argument,
                str_cat("mean has ", mean.size(), " values and std has ", std.size(), ", for ", channels, " channels"));
  if (out.size() != image.pixels.size())
    throw Error(Error::Kind::shape, str_cat(image.pixels.size(), " pixels for ", out.size(), " values"));
  std::array<std::array<float, 256>, 3> values;
  for (size_t c = 0; c < channels; ++c) {
    const float m = mean[c % mean.size()], s = std[c % std.size()];
    if (s == 0) throw Error(Error::Kind::argument, str_cat("std of channel ", c, " is 0"));
    for (size_t v = 0; v < 256; ++v) values[c][v] = (static_cast<float>(v) / 255.0f - m) / s;
  }
  const size_t count = out.size() / channels;
  for (size_t c = 0; c < channels; ++c) {
    const std::array<float, 256>& value = values[c];
    const uint8_t* in = image.pixels.data() + c;
    float* to = out.data() + c * count;
    size_t i = 0;
    for (; i + 4 <= count; i += 4, in += 4 * channels)             // four go to memory at once
      std::ranges::copy(std::array{value[in[0]], value[in[channels]], value[in[2 * channels]], value[in[3 * channels]]},
                        to + i);
    for (; i < count; ++i, in += channels) to[i] = value[*in];
  }
}

Tensor to_tensor(const Image& image, std::span<const float> mean, std::span<const float> std) {
  Tensor tensor = empty({1, image.channels, image.height, image.width});
  to_tensor(image, mean, std, tensor.mutable_data<float>());
  return tensor;
}

Tensor eval_transform(const Image& image, const EvalConfig& config) {
  return to_tensor(eval_crop(image, config), config.mean, config.std);
}

}  // namespace fovea::data
