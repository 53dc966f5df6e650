// SPDX-License-Identifier: Apache-2.0
// data/affine.cpp — interpolation between pixels in double precision, term for term as Pillow adds them up.
//
// Shears and moves along rows leave the other coordinate on pixel centres, where interpolation is the pixel itself: so
// they interpolate within rows alone, and those along columns do it on rows and columns swapped.
#include "data/affine.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <vector>

#include "data/clones.h"
#include "data/transpose.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

constexpr int kBorder = 2;                         // pixels that interpolation may want beyond an edge

// out[i] = a (i + 1/2) + across + along, from left to right.
FOVEA_CLONES void coordinates(double a, double across, double along, int count, double* out) {
  for (int i = 0; i < count; ++i) out[i] = a * (i + 0.5) + across + along;
}

__attribute__((always_inline)) inline int floor_of(double v) {
  const int whole = static_cast<int>(v);
  return whole - (v < whole);
}

// --- within rows -----------------------------------------------------------------------------------------------------

// out[i] between in[i + step] and in[i + 2 step], where in[i + 2 step] is what lies `at[i]` of the way.
FOVEA_CLONES void cubic_line(const uint8_t* in, size_t step, const double* at, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const int v1 = in[i], v2 = in[i + step], v3 = in[i + 2 * step], v4 = in[i + 3 * step];
    const double p2 = v3 - v1, p3 = 2 * (v1 - v2) + v3 - v4, p4 = v2 - v1 - v3 + v4;
    double v = v2 + at[i] * (p2 + at[i] * (p3 + at[i] * p4));
    v = v < 0 ? 0 : v;
    v = v > 255 ? 255 : v;
    out[i] = static_cast<uint8_t>(static_cast<int>(v));
  }
}

FOVEA_CLONES void linear_line(const uint8_t* in, size_t step, const double* at, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const int v2 = in[i + step], v3 = in[i + 2 * step];
    out[i] = static_cast<uint8_t>(static_cast<int>(v2 + (v3 - v2) * at[i]));
  }
}

// Where the pixels of a line are: how many pixels further on, and how far on the way to the next one.
FOVEA_CLONES void steps_of(const double* at, int count, int* further, double* part) {
  for (int i = 0; i < count; ++i) {
    const double corner = at[i] - 0.5;
    const int whole = floor_of(corner);
    further[i] = at[i] >= 0 && at[i] < count ? whole - i : INT32_MIN;
    part[i] = corner - whole;
  }
}

// Pixel j of line i is at (j + 1/2) + b (i + 1/2) + c of the same line. So many lines share an i as `group` says: an
// image's channels, where columns have become rows.
void along_lines(const Image& image, double b, double c, Filter filter, int group, Image& out) {
  const auto channels = static_cast<size_t>(image.channels), width = static_cast<size_t>(image.width);
  std::vector<double> at(width), part(width), parts(width * channels);
  std::vector<int> further(width);
  std::vector<uint8_t> line((width + 2 * kBorder) * channels);
  for (int y = 0; y < image.height; ++y) {
    if (y % group == 0 && (y == 0 || b != 0)) {
      coordinates(1, b * (y / group + 0.5), c, image.width, at.data());
      steps_of(at.data(), image.width, further.data(), part.data());
      double* each = parts.data();
      for (const double v : part) each = std::fill_n(each, channels, v);
    }
    const uint8_t *from = image.row(y), *last = from + image.pitch() - channels;
    uint8_t* to = line.data();
    for (int k = 0; k < kBorder; ++k) to = std::copy_n(from, channels, to);
    to = std::copy_n(from, image.pitch(), to);
    for (int k = 0; k < kBorder; ++k) to = std::copy_n(last, channels, to);
    for (size_t x = 0, end; x < width; x = end) {
      for (end = x + 1; end < width && further[end] == further[x];) ++end;
      if (further[x] == INT32_MIN) continue;
      const auto first = static_cast<size_t>(static_cast<int>(x) + further[x] - 1 + kBorder);
      (filter == Filter::bicubic ? cubic_line : linear_line)(line.data() + first * channels, channels,
                                                             parts.data() + x * channels, (end - x) * channels,
                                                             out.row(y) + x * channels);
    }
  }
}

Image swapped(const Image& image) {                // rows of one channel: as many as columns and channels
  Image out = make_image(image.height, image.width * image.channels, 1);
  transpose(image.row(0), image.pitch(), static_cast<size_t>(image.height), image.pitch(), out.row(0), out.pitch());
  return out;
}

// --- in both directions ----------------------------------------------------------------------------------------------

using Double4 = double __attribute__((vector_size(32)));     // the channels of a pixel, and what is never stored
using Pixel = double __attribute__((vector_size(32), aligned(8), may_alias));
using Int4 = int __attribute__((vector_size(16)));

// The image as numbers, with its edges repeated.
struct Bordered {
  explicit Bordered(const Image& image)
      : pitch(image.width + 2 * kBorder),
        pixels(4 * static_cast<size_t>(pitch) * static_cast<size_t>(image.height + 2 * kBorder)) {
    const auto channels = static_cast<size_t>(image.channels);
    double* to = pixels.data();
    for (int y = -kBorder; y < image.height + kBorder; ++y) {
      const uint8_t* row = image.row(std::clamp(y, 0, image.height - 1));
      for (int x = -kBorder; x < image.width + kBorder; ++x, to += 4) {
        const uint8_t* pixel = row + static_cast<size_t>(std::clamp(x, 0, image.width - 1)) * channels;
        for (size_t c = 0; c < channels; ++c) to[c] = pixel[c];
      }
    }
  }
  const Pixel* pixel(int x, int y) const {
    return reinterpret_cast<const Pixel*>(pixels.data()) + static_cast<ptrdiff_t>(y + kBorder) * pitch + x + kBorder;
  }
  ptrdiff_t pitch;
  std::vector<double> pixels;
};

struct Run {                                       // places of the source side by side in the result
  const double *right, *down;
  int count;
  size_t channels;
};

// A cubic through four points, the way `at` from the second to the third. Sums of bytes are exact in any order; others
// are added up in Pillow's.
__attribute__((always_inline)) inline void cubic_of_pixels(const Pixel* p, double at, Double4& out) {
  const Double4 down = p[0] - p[1], up = p[2] - p[3];
  out = p[1] + at * ((p[2] - p[0]) + at * ((2 * down + up) - at * (down + up)));
}

__attribute__((always_inline)) inline uint8_t* store(const Double4& v, size_t channels, uint8_t* out) {
  const Int4 whole = __builtin_convertvector(v, Int4);
  out[0] = static_cast<uint8_t>(whole[0]);
  if (channels == 3) out[1] = static_cast<uint8_t>(whole[1]), out[2] = static_cast<uint8_t>(whole[2]);
  return out + channels;
}

FOVEA_CLONES void cubic_run(const Pixel* origin, ptrdiff_t pitch, const Run& run, uint8_t* out) {
  for (int i = 0; i < run.count; ++i) {
    const double right = run.right[i] - 0.5, down = run.down[i] - 0.5;
    const int x = floor_of(right), y = floor_of(down);
    const double at = right - x, below = down - y;
    const Pixel* p = origin + (y - 1) * pitch + x - 1;
    Double4 v1, v2, v3, v4;
    cubic_of_pixels(p, at, v1);
    cubic_of_pixels(p + pitch, at, v2);
    cubic_of_pixels(p + 2 * pitch, at, v3);
    cubic_of_pixels(p + 3 * pitch, at, v4);
    const Double4 p2 = v3 - v1, p3 = 2 * (v1 - v2) + v3 - v4, p4 = v2 - v1 - v3 + v4;
    Double4 v = v2 + below * (p2 + below * (p3 + below * p4));
    const Double4 least{}, most = least + 255;
    v = v < least ? least : v;
    v = v > most ? most : v;
    out = store(v, run.channels, out);
  }
}

FOVEA_CLONES void linear_run(const Pixel* origin, ptrdiff_t pitch, const Run& run, uint8_t* out) {
  for (int i = 0; i < run.count; ++i) {
    const double right = run.right[i] - 0.5, down = run.down[i] - 0.5;
    const int x = floor_of(right), y = floor_of(down);
    const Pixel* p = origin + y * pitch + x;
    const Double4 v1 = p[0] + (p[1] - p[0]) * (right - x), v2 = p[pitch] + (p[pitch + 1] - p[pitch]) * (right - x);
    out = store(v1 + (v2 - v1) * (down - y), run.channels, out);
  }
}

void everywhere(const Image& image, const Affine& m, Filter filter, Image& out) {
  const Bordered source(image);
  const auto width = static_cast<size_t>(image.width), channels = static_cast<size_t>(image.channels);
  std::vector<double> right(width), down(width);
  for (int y = 0; y < image.height; ++y) {
    coordinates(m.a, m.b * (y + 0.5), m.c, image.width, right.data());
    coordinates(m.d, m.e * (y + 0.5), m.f, image.width, down.data());
    // What lies inside is one run, because rounding keeps the order of coordinates.
    const auto inside = [&](size_t x) {
      return right[x] >= 0 && right[x] < image.width && down[x] >= 0 && down[x] < image.height;
    };
    size_t first = 0, end = width;
    while (first < end && !inside(first)) ++first;
    while (end > first && !inside(end - 1)) --end;
    const Run run{right.data() + first, down.data() + first, static_cast<int>(end - first), channels};
    (filter == Filter::bicubic ? cubic_run : linear_run)(source.pixel(0, 0), source.pitch, run,
                                                         out.row(y) + first * channels);
  }
}

double to_15_decimals(double v) {                  // of the exact value, as Python's round()
  std::array<char, 32> text;
  const char* end = std::to_chars(text.data(), text.data() + text.size(), v, std::chars_format::fixed, 15).ptr;
  std::from_chars(text.data(), end, v);
  return v;
}

// --- without interpolation -------------------------------------------------------------------------------------------

void put(const Image& image, int x, int y, Image& out, int to_x, int to_y) {
  if (x < 0 || x >= image.width || y < 0 || y >= image.height) return;
  const auto channels = static_cast<size_t>(image.channels);
  std::copy_n(image.row(y) + static_cast<size_t>(x) * channels, channels,
              out.row(to_y) + static_cast<size_t>(to_x) * channels);
}

// Positions are added up step by step: in double where axes stay axes, else in 1/65536 of a pixel.
void nearest(const Image& image, const Affine& m, Image& out) {
  const auto cell = [](double v) { return v < 0 ? -1 : static_cast<int>(v); };
  if (m.b == 0 && m.d == 0) {
    std::vector<int> columns;
    double x = m.c + m.a * 0.5, y = m.f + m.e * 0.5;
    for (int i = 0; i < image.width; ++i, x += m.a) columns.push_back(cell(x));
    for (int j = 0; j < image.height; ++j, y += m.e)
      for (int i = 0; i < image.width; ++i) put(image, columns[static_cast<size_t>(i)], cell(y), out, i, j);
    return;
  }
  const auto fixed = [](double v) { return static_cast<int>(std::floor(v * 65536.0 + 0.5)); };
  const int a = fixed(m.a), b = fixed(m.b), d = fixed(m.d), e = fixed(m.e);
  int row_x = fixed(m.c + m.a * 0.5 + m.b * 0.5), row_y = fixed(m.f + m.d * 0.5 + m.e * 0.5);
  for (int j = 0; j < image.height; ++j, row_x += b, row_y += e)
    for (int i = 0, x = row_x, y = row_y; i < image.width; ++i, x += a, y += d)
      put(image, x >> 16, y >> 16, out, i, j);
}

void check(const Image& image, const Affine& m, Filter filter) {
  data::check(image);
  check_transform_filter(filter);
  const double far = std::abs(m.a) * image.width + std::abs(m.b) * image.height + std::abs(m.c);
  const double deep = std::abs(m.d) * image.width + std::abs(m.e) * image.height + std::abs(m.f);
  if (!(far < 1e9 && deep < 1e9) || (filter == Filter::nearest && !(far < 32768 && deep < 32768)))
    throw Error(Error::Kind::argument, str_cat("an image of ", image.width, "x", image.height, " is transformed by (",
                                               m.a, ", ", m.b, ", ", m.c, ", ", m.d, ", ", m.e, ", ", m.f, ")"),
                "that leads too far from it");
}

}  // namespace

void check_transform_filter(Filter filter) {
  if (filter == Filter::nearest || filter == Filter::bilinear || filter == Filter::bicubic) return;
  throw Error(Error::Kind::argument, str_cat("images are not turned, sheared or moved by ", name_of(filter)),
              "nearest, bilinear and bicubic are possible");
}

Image transformed(const Image& image, const Affine& m, Filter filter, const Colour& fill) {
  check(image, m, filter);
  Image out = make_image(image.width, image.height, image.channels);
  paint(out, fill);
  if (filter == Filter::nearest) {
    nearest(image, m, out);
  } else if (m.a == 1 && m.d == 0 && m.e == 1 && m.f == 0) {
    along_lines(image, m.b, m.c, filter, 1, out);
  } else if (m.e == 1 && m.a == 1 && m.b == 0 && m.c == 0) {
    Image columns = swapped(out);
    along_lines(swapped(image), m.d, m.f, filter, image.channels, columns);
    transpose(columns.row(0), columns.pitch(), image.pitch(), static_cast<size_t>(image.height), out.row(0),
              out.pitch());
  } else {
    everywhere(image, m, filter, out);
  }
  return out;
}

Image rotated(const Image& image, double degrees, Filter filter, const Colour& fill) {
  if (!std::isfinite(degrees))
    throw Error(Error::Kind::argument, str_cat("an image is turned by ", degrees, " degrees"));
  double angle = std::fmod(degrees, 360.0);
  if (angle < 0) angle += 360;
  if (angle == 0) return image;
  // Right angles are exact.
  if (angle == 180 || ((angle == 90 || angle == 270) && image.width == image.height)) {
    Image out = make_image(image.width, image.height, image.channels);
    const int w = image.width - 1, h = image.height - 1;
    for (int y = 0; y <= h; ++y)
      for (int x = 0; x <= w; ++x)
        if (angle == 180) put(image, w - x, h - y, out, x, y);
        else if (angle == 90) put(image, w - y, x, out, x, y);
        else put(image, y, h - x, out, x, y);
    return out;
  }
  const double turn = -(angle * (std::numbers::pi / 180));
  Affine m{.a = to_15_decimals(std::cos(turn)),
           .b = to_15_decimals(std::sin(turn)),
           .d = to_15_decimals(-std::sin(turn)),
           .e = to_15_decimals(std::cos(turn))};
  const double x = image.width / 2.0, y = image.height / 2.0;
  m.c = m.a * -x + m.b * -y + 0.0 + x;
  m.f = m.d * -x + m.e * -y + 0.0 + y;
  return transformed(image, m, filter, fill);
}

}  // namespace fovea::data
