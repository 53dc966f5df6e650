// SPDX-License-Identifier: Apache-2.0
// data/sequence.cpp — sizes for so many patches, crops, and patches as tensors.
#include "data/sequence.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

// Python's round(): halves go to the even neighbour, as std::nearbyint does by default.
int rounded(double v) { return static_cast<int>(std::nearbyint(v)); }

int up_to_patches(double size, int patch) { return patch * static_cast<int>(std::ceil(size / patch)); }

int64_t patches_of(int height, int width, const SequenceLimits& limits) {
  return int64_t{height / limits.patch[0]} * (width / limits.patch[1]);
}

void check(const SequenceLimits& limits) {
  if (limits.patch[0] < 1 || limits.patch[1] < 1 || limits.max_seq_len < 1)
    throw Error(Error::Kind::argument, str_cat("sequences of ", limits.max_seq_len, " patches of ", limits.patch[0],
                                               " x ", limits.patch[1], " cannot be"));
}

std::array<int, 2> scaled(int height, int width, double ratio, const SequenceLimits& limits) {
  std::array<int, 2> out{};
  const std::array<int, 2> size{height, width};
  for (size_t i = 0; i < 2; ++i) {
    double v = size[i] * ratio;
    if (limits.divisible) v = limits.patch[i] * std::ceil(v / limits.patch[i]);
    out[i] = static_cast<int>(std::min<double>(std::max<double>(v, limits.patch[i]), 1e9));
  }
  return out;
}

// How many pixels of one edge lie in front of the image, and how many are taken from where.
struct Edge {
  int before, from, count;
};
Edge edge_of(int size, int first, int wanted) {
  const int before = std::clamp(-first, 0, wanted), from = std::clamp(first, 0, size);
  return {before, from, std::clamp(std::min(size, first + wanted) - from, 0, wanted - before)};
}

}  // namespace

SequenceFit fit_sequence(int height, int width, const SequenceLimits& limits) {
  check(limits);
  constexpr double eps = 1e-5;
  double low = eps / 10, high = 100;
  while (high - low >= eps) {
    const double middle = (low + high) / 2;
    const auto [h, w] = scaled(height, width, middle, limits);
    (patches_of(h, w, limits) <= limits.max_seq_len ? low : high) = middle;
  }
  const double ratio = limits.max_ratio ? std::min(low, *limits.max_ratio) : low;
  if (ratio <= eps || ratio >= 100)
    throw Error(Error::Kind::argument,
                str_cat("an image of ", width, "x", height, " pixels cannot be resized to ", limits.max_seq_len,
                        " patches of ", limits.patch[0], "x", limits.patch[1]));
  const auto [h, w] = scaled(height, width, ratio, limits);
  return {ratio, h, w};
}

Image resize_to_sequence(const Image& image, const SequenceLimits& limits, Filter filter) {
  check(image);
  const SequenceFit to = fit_sequence(image.height, image.width, limits);
  return resize(image, to.width, to.height, filter);
}

Image resize_keep_ratio_to_sequence(const Image& image, const SequenceLimits& limits, const KeepRatio& how,
                                    Chance& chance, Filter filter) {
  check(image);
  const SequenceFit fit = fit_sequence(image.height, image.width, limits);
  const double ratio_h = static_cast<double>(fit.height) / image.height,
               ratio_w = static_cast<double>(fit.width) / image.width;
  const double ratio = std::max(ratio_h, ratio_w) * how.longest + std::min(ratio_h, ratio_w) * (1 - how.longest);
  std::array<double, 2> factor{1, 1};
  if (how.scale_prob > 0 && chance.uniform() < how.scale_prob) {
    const double f = chance.between(how.scale[0], how.scale[1]);
    factor[0] = factor[1] = how.scale_area ? 1 / std::sqrt(f) : f;
  }
  if (how.aspect_prob > 0 && chance.uniform() < how.aspect_prob) {
    const double f = std::sqrt(std::exp(chance.between(std::log(how.aspect[0]), std::log(how.aspect[1]))));
    factor[0] /= f;
    factor[1] *= f;
  }
  std::array<int, 2> size{rounded(image.height * ratio * factor[0]), rounded(image.width * ratio * factor[1])};
  const auto whole = [&] {
    for (size_t i = 0; i < 2; ++i)
      if (limits.divisible) size[i] = up_to_patches(size[i], limits.patch[i]);
  };
  for (size_t i = 0; i < 2; ++i) size[i] = std::max(size[i], limits.patch[i]);
  whole();
  const int64_t length = patches_of(size[0], size[1], limits);
  if (length > limits.max_seq_len) {
    const double back = std::sqrt(static_cast<double>(limits.max_seq_len) / static_cast<double>(length));
    for (int& s : size) s = static_cast<int>(s * back);
    whole();
  }
  return resize(image, size[1], size[0], filter);
}

Image crop_or_pad(const Image& image, int top, int left, int height, int width, std::span<const uint8_t> fill) {
  check(image);
  const auto channels = static_cast<size_t>(image.channels);
  if (!fill.empty() && fill.size() != 1 && fill.size() != channels)
    throw Error(Error::Kind::argument, str_cat("fill has ", fill.size(), " values for ", channels, " channels"));
  Image out = make_image(width, height, image.channels);
  if (!fill.empty()) paint(out, fill);
  const Edge y = edge_of(image.height, top, height), x = edge_of(image.width, left, width);
  for (int row = 0; row < y.count; ++row)
    std::copy_n(image.row(y.from + row) + static_cast<size_t>(x.from) * channels,
                static_cast<size_t>(x.count) * channels,
                out.row(y.before + row) + static_cast<size_t>(x.before) * channels);
  return out;
}

Image center_crop_to_sequence(const Image& image, const SequenceLimits& limits, std::span<const uint8_t> fill) {
  check(image);
  const SequenceFit to = fit_sequence(image.height, image.width, limits);
  return crop_or_pad(image, middle_in(image.height, to.height), middle_in(image.width, to.width), to.height, to.width,
                     fill);
}

Image random_crop_to_sequence(const Image& image, const SequenceLimits& limits, Chance& chance,
                              std::span<const uint8_t> fill) {
  check(image);
  SequenceLimits within = limits;
  within.max_ratio = 1.0;
  const SequenceFit to = fit_sequence(image.height, image.width, within);
  const int top = somewhere_in(image.height, to.height, chance), left = somewhere_in(image.width, to.width, chance);
  return crop_or_pad(image, top, left, to.height, to.width, fill);
}

SequenceCrop draw_sequence_crop(int height, int width, const SequenceLimits& limits, const RandomSequenceCrop& how,
                                Chance& chance) {
  const double aspect = static_cast<double>(width) / height;
  SequenceCrop out{.part = {}, .height = 0, .width = 0};
  bool found = false;
  for (int i = 0; i < how.attempts && !found; ++i) {
    const double area = static_cast<double>(height) * width * chance.between(how.scale[0], how.scale[1]);
    const double shape = aspect * std::exp(chance.between(std::log(how.ratio[0]), std::log(how.ratio[1])));
    const int h = rounded(std::sqrt(area / shape)), w = rounded(std::sqrt(area * shape));
    found = h > 0 && w > 0 && h <= height && w <= width;
    if (found) out.part = {.left = 0, .top = chance.upto(height - h), .width = w, .height = h};
    if (found) out.part.left = chance.upto(width - w);
  }
  if (!found) {  // the centre, as near to the image's own shape as is allowed
    const double least = aspect * how.ratio[0], most = aspect * how.ratio[1];
    int h = height, w = width;
    if (aspect < least) h = std::min(rounded(w / least), height);
    else if (aspect > most) w = std::min(rounded(h * most), width);
    h = std::max(1, h), w = std::max(1, w);
    out.part = {.left = (width - w) / 2, .top = (height - h) / 2, .width = w, .height = h};
  }
  const SequenceFit fit = fit_sequence(out.part.height, out.part.width, limits);
  out.height = fit.height, out.width = fit.width;
  if (!how.final_scale) return out;
  const double factor = fit.ratio * std::clamp(chance.between((*how.final_scale)[0], (*how.final_scale)[1]), 0.0, 1.0);
  const auto size = [&](int side, int patch) {
    const double v = side * factor;
    return std::max(limits.divisible ? up_to_patches(v, patch) : rounded(v), patch);
  };
  const int h = size(out.part.height, limits.patch[0]), w = size(out.part.width, limits.patch[1]);
  if (patches_of(h, w, limits) <= limits.max_seq_len) out.height = h, out.width = w;
  return out;
}

Image random_resized_crop_to_sequence(const Image& image, const SequenceLimits& limits, const RandomSequenceCrop& how,
                                      Chance& chance, Filter filter) {
  check(image);
  const SequenceCrop c = draw_sequence_crop(image.height, image.width, limits, how, chance);
  return resize(crop(image, c.part.left, c.part.top, c.part.width, c.part.height), c.width, c.height, filter);
}

Patches patchify(const Tensor& image, std::array<int, 2> patch, bool channels_last) {
  if (image.rank() != 4 || image.dim(0) != 1 || image.dtype() != DType::f32 || patch[0] < 1 || patch[1] < 1)
    throw Error(Error::Kind::shape, str_cat("patches of ", patch[0], " x ", patch[1],
                                            " are cut out of f32[1, C, H, W], not ", image.meta()));
  const int64_t c = image.dim(1), h = image.dim(2), w = image.dim(3), ph = patch[0], pw = patch[1];
  const int64_t rows = (h + ph - 1) / ph, columns = (w + pw - 1) / pw;
  Patches out{.patches = zeros({rows * columns, ph * pw * c}), .coords = empty({rows * columns, 2}, DType::i64)};
  if (!image.meta().is_contiguous()) throw Error(Error::Kind::shape, "patches are cut out of contiguous images");
  const std::span<const float> pixels = image.data<float>();
  const std::span<float> values = out.patches.mutable_data<float>();
  const std::span<int64_t> places = out.coords.mutable_data<int64_t>();
  const int64_t step_c = channels_last ? 1 : ph * pw, step_x = channels_last ? c : 1;
  for (int64_t i = 0; i < rows * columns; ++i) {
    const int64_t row = i / columns, column = i % columns;
    places[static_cast<size_t>(2 * i)] = row;
    places[static_cast<size_t>(2 * i + 1)] = column;
    for (int64_t channel = 0; channel < c; ++channel)
      for (int64_t y = row * ph; y < std::min(h, (row + 1) * ph); ++y)
        for (int64_t x = column * pw; x < std::min(w, (column + 1) * pw); ++x)
          values[static_cast<size_t>(i * ph * pw * c + channel * step_c +
                                     ((y - row * ph) * pw + x - column * pw) * step_x)] =
              pixels[static_cast<size_t>((channel * h + y) * w + x)];
  }
  return out;
}

Tensor unpatchify(const SequenceBatch& batch, std::array<int, 2> patch, bool channels_last) {
  const int64_t n = batch.valid.dim(0), length = batch.valid.dim(1), ph = patch[0], pw = patch[1];
  const int64_t each = batch.patches.numel() / std::max<int64_t>(1, n * length), c = each / (ph * pw);
  const std::span<const int64_t> places = batch.coords.data<int64_t>();
  const std::span<const bool> valid = batch.valid.data<bool>();
  int64_t rows = 1, columns = 1;
  for (size_t i = 0; i < valid.size(); ++i)
    if (valid[i]) rows = std::max(rows, places[2 * i] + 1), columns = std::max(columns, places[2 * i + 1] + 1);
  Tensor out = zeros({n, c, rows * ph, columns * pw});
  const std::span<float> pixels = out.mutable_data<float>();
  const std::span<const float> values = batch.patches.data<float>();
  const int64_t step_c = channels_last ? 1 : ph * pw, step_x = channels_last ? c : 1;
  for (int64_t i = 0; i < n * length; ++i) {
    const auto at = static_cast<size_t>(i);
    if (!valid[at]) continue;
    const int64_t top = places[2 * at] * ph, left = places[2 * at + 1] * pw;
    for (int64_t channel = 0; channel < c; ++channel)
      for (int64_t y = 0; y < ph; ++y)
        for (int64_t x = 0; x < pw; ++x)
          pixels[static_cast<size_t>(((i / length * c + channel) * rows * ph + top + y) * columns * pw + left + x)] =
              values[static_cast<size_t>(i * each + channel * step_c + (y * pw + x) * step_x)];
  }
  return out;
}

Patches sequence_transform(const Image& image, const EvalConfig& config, const SequenceLimits& limits) {
  check(image);
  const Image converted = with_channels(image, config.input_size[0]);
  const Image& source = converted.pixels.empty() ? image : converted;
  const Image resized = resize_to_sequence(source, limits, config.interpolation);
  return patchify(to_tensor(resized, config.mean, config.std), limits.patch, limits.channels_last);
}

SequenceBatch collate(std::span<const Patches> sequences, int64_t length) {
  if (sequences.empty() || length < 1) throw Error(Error::Kind::argument, "a batch has sequences of patches");
  const auto n = static_cast<int64_t>(sequences.size()), width = sequences[0].patches.dim(1);
  SequenceBatch out{.patches = zeros({n, length, width}),
                    .coords = zeros({n, length, 2}, DType::i64),
                    .valid = zeros({n, length}, DType::boolean)};
  auto* patches = reinterpret_cast<std::byte*>(out.patches.mutable_data<float>().data());
  auto* coords = reinterpret_cast<std::byte*>(out.coords.mutable_data<int64_t>().data());
  auto* valid = out.valid.mutable_data<bool>().data();
  for (int64_t i = 0; i < n; ++i) {
    const Patches& s = sequences[static_cast<size_t>(i)];
    if (s.patches.dim(1) != width)
      throw Error(Error::Kind::shape,
                  str_cat("patches of ", s.patches.dim(1), " and of ", width, " values in one batch"));
    const int64_t kept = std::min(length, s.patches.dim(0));
    const auto bytes = static_cast<size_t>(kept * width) * sizeof(float), places = static_cast<size_t>(kept * 2) * 8;
    std::memcpy(patches + static_cast<size_t>(i * length * width) * sizeof(float), s.patches.data<float>().data(),
                bytes);
    std::memcpy(coords + static_cast<size_t>(i * length * 2) * 8, s.coords.data<int64_t>().data(), places);
    std::fill_n(valid + i * length, kept, true);
  }
  return out;
}

}  // namespace fovea::data
