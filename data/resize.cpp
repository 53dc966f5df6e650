// SPDX-License-Identifier: Apache-2.0
// data/resize.cpp — separable resampling in fixed point, byte for byte as Pillow computes it.
//
// Both passes run one kernel, which adds up weighted rows: the vertical pass on the image as it lies, the horizontal
// pass on blocks of rows that are transposed first, so that the compiler's vectors run along memory in both.
#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "data/clones.h"
#include "data/transpose.h"
#include "engine/core/error.h"

namespace fovea::data {

static constexpr std::string_view kFilterNames[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};

std::string_view name_of(Filter filter) { return kFilterNames[static_cast<size_t>(filter)]; }

Filter parse_filter(std::string_view name) {
  for (size_t i = 0; i < std::size(kFilterNames); ++i)
    if (kFilterNames[i] == name) return static_cast<Filter>(i);
  throw Error(Error::Kind::argument, str_cat("no interpolation '", name, "'"),
              "known: nearest, box, bilinear, hamming, bicubic, lanczos");
}

namespace {

// 8 bits of result and 2 of headroom for filters with negative lobes leave 22 of a signed 32-bit sum.
constexpr int kFractionBits = 22;
constexpr size_t kLanes = 32;  // columns summed at a time: what stays in vector registers

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double weight(Filter filter, double x) {
  const double distance = std::fabs(x);
  switch (filter) {
    case Filter::box: return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case Filter::bilinear: return distance < 1.0 ? 1.0 - distance : 0.0;
    case Filter::hamming: {
      if (distance == 0.0) return 1.0;
      if (distance >= 1.0) return 0.0;
      const double angle = distance * std::numbers::pi;
      return std::sin(angle) / angle * (0.54f + 0.46f * std::cos(angle));  // Pillow's constants are floats
    }
    case Filter::bicubic: {  // Keys 1981 with a = -1/2
      constexpr double a = -0.5;
      if (distance < 1.0) return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1;
      if (distance < 2.0) return (((distance - 5) * distance + 8) * distance - 4) * a;
      return 0.0;
    }
    case Filter::lanczos: return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
    case Filter::nearest: break;
  }
  return 0.0;
}

double reach(Filter filter) {
  switch (filter) {
    case Filter::box: return 0.5;
    case Filter::bilinear:
    case Filter::hamming: return 1.0;
    case Filter::bicubic: return 2.0;
    default: return 3.0;
  }
}

/// The source samples one output sample is made of.
struct Tap {
  int first, count;
  size_t weights;  // where they start in Taps::weights
};
struct Taps {
  std::vector<Tap> of;
  std::vector<int32_t> weights;
  int first() const { return of.front().first; }
  int end() const { return of.back().first + of.back().count; }
};

/// Of the samples [first_out, first_out + count_out) of out_size.
Taps make_taps(int in_size, float from, float to, int out_size, Filter filter, int first_out, int count_out) {
  const double scale = static_cast<double>(to - from) / out_size;
  const double stretch = std::max(scale, 1.0), inverse = 1.0 / stretch, support = reach(filter) * stretch;
  Taps taps;
  taps.of.reserve(static_cast<size_t>(count_out));
  std::vector<double> exact;
  for (int i = first_out; i < first_out + count_out; ++i) {
    const double center = from + (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int count = std::min(static_cast<int>(center + support + 0.5), in_size) - first;
    exact.clear();
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      exact.push_back(weight(filter, (k + first - center + 0.5) * inverse));
      sum += exact.back();
    }
    taps.of.push_back({first, count, taps.weights.size()});
    for (double w : exact) {
      if (sum != 0.0) w /= sum;
      taps.weights.push_back(static_cast<int32_t>((w < 0 ? -0.5 : 0.5) + w * (1 << kFractionBits)));
    }
  }
  return taps;
}

/// out[i] = sum over k of rows[k * pitch + i] * weights[k], rounded and clipped to a byte.
FOVEA_CLONES void weighted_rows(const uint8_t* rows, size_t pitch, const int32_t* weights, int count, uint8_t* out,
                                size_t width) {
  int32_t sum[kLanes];
  for (size_t at = 0; at < width; at += kLanes) {
    const size_t lanes = std::min(kLanes, width - at);
    for (int32_t& s : sum) s = 1 << (kFractionBits - 1);
    const uint8_t* row = rows + at;
    if (lanes == kLanes) {
      for (int k = 0; k < count; ++k, row += pitch)
        for (size_t i = 0; i < kLanes; ++i) sum[i] += row[i] * weights[k];
    } else {
      for (int k = 0; k < count; ++k, row += pitch)
        for (size_t i = 0; i < lanes; ++i) sum[i] += row[i] * weights[k];
    }
    for (size_t i = 0; i < lanes; ++i) out[at + i] = static_cast<uint8_t>(std::clamp(sum[i] >> kFractionBits, 0, 255));
  }
}

/// Resizes rows [first_row, first_row + rows) to `width` columns.
Image horizontal(const Image& image, int first_row, int rows, int width, const Taps& taps) {
  Image out = make_image(width, rows, image.channels);
  const size_t channels = static_cast<size_t>(image.channels), block_pitch = kLanes * channels;
  const size_t used_from = static_cast<size_t>(taps.first()) * channels;
  const size_t used_to = static_cast<size_t>(taps.end()) * channels;
  std::vector<uint8_t> block((used_to - used_from) * kLanes), sums(out.pitch() * kLanes);
  for (int y = 0; y < rows; y += static_cast<int>(kLanes)) {
    const size_t lanes = std::min(kLanes, static_cast<size_t>(rows - y));
    transpose(image.row(first_row + y) + used_from, image.pitch(), lanes, used_to - used_from, block.data(), kLanes);
    for (size_t x = 0; x < taps.of.size(); ++x) {
      const Tap& tap = taps.of[x];
      weighted_rows(block.data() + static_cast<size_t>(tap.first - taps.first()) * block_pitch, block_pitch,
                    taps.weights.data() + tap.weights, tap.count, sums.data() + x * block_pitch, block_pitch);
    }
    transpose(sums.data(), kLanes, out.pitch(), lanes, out.row(y), out.pitch());
  }
  return out;
}

Image vertical(const Image& image, int height, const Taps& taps, int first_row) {
  Image out = make_image(image.width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    const Tap& tap = taps.of[static_cast<size_t>(y)];
    weighted_rows(image.row(tap.first - first_row), image.pitch(), taps.weights.data() + tap.weights, tap.count,
                  out.row(y), image.pitch());
  }
  return out;
}

/// Source index of the output samples [first_out, first_out + count_out); the position is added up step by step because
/// Pillow's rounding shows.
std::vector<int> nearest_indices(int in_size, float from, float to, int out_size, int first_out, int count_out) {
  const double step = static_cast<double>(to - from) / out_size;
  double position = from + step * 0.5;
  std::vector<int> indices;
  for (int i = 0; i < first_out + count_out; ++i, position += step) {
    if (i < first_out) continue;
    const int at = static_cast<int>(position);
    indices.push_back(at < in_size ? at : -1);  // -1: past the end by rounding, left black
  }
  return indices;
}

Image nearest(const Image& image, int width, int height, const Box& box, const Part& part) {
  const std::vector<int> columns = nearest_indices(image.width, box.left, box.right, width, part.left, part.width);
  const std::vector<int> rows = nearest_indices(image.height, box.top, box.bottom, height, part.top, part.height);
  Image out = make_image(part.width, part.height, image.channels);
  const size_t channels = static_cast<size_t>(image.channels);
  for (int y = 0; y < part.height; ++y) {
    if (rows[static_cast<size_t>(y)] < 0) continue;
    const uint8_t* in = image.row(rows[static_cast<size_t>(y)]);
    uint8_t* to = out.row(y);
    for (int column : columns) {
      if (column >= 0) std::copy_n(in + static_cast<size_t>(column) * channels, channels, to);
      to += channels;
    }
  }
  return out;
}

/// The pass that runs first is visible, because what lies between the passes is rounded to bytes. Pillow 13 begins with
/// the vertical one when that loses more than twice as many rows as the other loses columns (established by comparing
/// with it: test/golden/data/resize.tsv has both kinds); Pillow 12 and older always begin with the horizontal one.
bool vertical_first(const Image& image, int width, int height) {
  return height < image.height && 2 * (int64_t{image.width} - width) < int64_t{image.height} - height;
}

bool whole(float v) { return v == std::floor(v); }

/// All sizes are known to be possible.
Image resized(const Image& image, int width, int height, Filter filter, const Box& box, const Part& part) {
  const float out_width = static_cast<float>(width), out_height = static_cast<float>(height);
  if (whole(box.left) && whole(box.top) && box.right - box.left == out_width && box.bottom - box.top == out_height)
    return crop(image, static_cast<int>(box.left) + part.left, static_cast<int>(box.top) + part.top, part.width,
                part.height);
  if (filter == Filter::nearest) return nearest(image, width, height, box, part);

  const bool across = width != image.width || box.left != 0 || box.right != out_width;
  const bool down = height != image.height || box.top != 0 || box.bottom != out_height;
  if (!across && (part.left != 0 || part.width != width))  // one pass alone takes the columns as they lie
    return resized(crop(image, part.left, 0, part.width, image.height), part.width, height, filter,
                   {0, box.top, static_cast<float>(part.width), box.bottom}, {0, part.top, part.width, part.height});
  const Taps columns =
      across ? make_taps(image.width, box.left, box.right, width, filter, part.left, part.width) : Taps{};
  const Taps rows = down ? make_taps(image.height, box.top, box.bottom, height, filter, part.top, part.height) : Taps{};
  if (!across) return vertical(image, part.height, rows, 0);
  if (!down) return horizontal(image, part.top, part.height, part.width, columns);
  if (vertical_first(image, width, height)) {
    const Image low = vertical(image, part.height, rows, 0);
    return horizontal(low, 0, part.height, part.width, columns);
  }
  const Image narrow = horizontal(image, rows.first(), rows.end() - rows.first(), part.width, columns);
  return vertical(narrow, part.height, rows, rows.first());
}

Box all_of(const Image& image) { return {0, 0, static_cast<float>(image.width), static_cast<float>(image.height)}; }

}  // namespace

Image resize(const Image& image, int width, int height, Filter filter) {
  return resize(image, width, height, filter, all_of(image));
}

Image resize(const Image& image, int width, int height, Filter filter, const Box& box) {
  check(image);
  check_size(width, height, image.channels);
  const float in_width = static_cast<float>(image.width), in_height = static_cast<float>(image.height);
  if (!(box.left >= 0 && box.top >= 0 && box.right <= in_width && box.bottom <= in_height && box.left < box.right &&
        box.top < box.bottom))
    throw Error(Error::Kind::argument,
                str_cat("box (", box.left, ", ", box.top, ", ", box.right, ", ", box.bottom,
                        ") is empty or leaves the ", image.width, "x", image.height, " image"),
                "a box is left, top, right, bottom in pixels of the source");
  return resized(image, width, height, filter, box, {0, 0, width, height});
}

Image resize_part(const Image& image, int width, int height, Filter filter, const Part& part) {
  check(image);
  check_size(part.width, part.height, image.channels);
  if (part.left < 0 || part.top < 0 || part.left > width - part.width || part.top > height - part.height)
    throw Error(Error::Kind::argument, str_cat(part.width, "x", part.height, " pixels from (", part.left, ", ",
                                               part.top, ") leave an image of ", width, "x", height));
  return resized(image, width, height, filter, all_of(image), part);
}

Part source_part(int image_width, int image_height, int width, int height, Filter filter, const Part& part) {
  const auto range = [&](int in_size, int out_size, int first, int count) {
    if (out_size == in_size) return std::pair{first, first + count};
    const double scale = static_cast<double>(in_size) / out_size, around = reach(filter) * std::max(scale, 1.0) + 2;
    return std::pair{std::max(0, static_cast<int>(first * scale - around)),
                     static_cast<int>(std::min<double>(in_size, std::ceil((first + count) * scale + around)))};
  };
  const auto [left, right] = range(image_width, width, part.left, part.width);
  const auto [top, bottom] = range(image_height, height, part.top, part.height);
  return {left, top, right - left, bottom - top};
}

Image crop(const Image& image, int left, int top, int width, int height) {
  if (left < 0 || top < 0 || width < 1 || height < 1 || left + width > image.width || top + height > image.height)
    throw Error(Error::Kind::argument, str_cat("a crop of ", width, "x", height, " at ", left, ",", top,
                                               " of an image of ", image.width, "x", image.height));
  Image out = make_image(width, height, image.channels);
  for (int y = 0; y < height; ++y)
    std::copy_n(image.row(top + y) + static_cast<size_t>(left) * static_cast<size_t>(image.channels), out.pitch(),
                out.row(y));
  return out;
}

}  // namespace fovea::data
