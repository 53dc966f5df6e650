// SPDX-License-Identifier: Apache-2.0
#include "data/lookup.h"

#include <algorithm>
#include <vector>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

using Histogram = std::array<int64_t, 256>;

// One a channel. Four counts of each value take turns, because equal neighbours would wait for each other.
std::vector<Histogram> histograms(const Image& image) {
  check(image);
  const auto channels = static_cast<size_t>(image.channels), pixels = image.pixels.size() / channels;
  std::vector<Histogram> out(channels);
  for (size_t c = 0; c < channels; ++c) {
    std::array<std::array<uint32_t, 256>, 4> counts{};
    const uint8_t* v = image.pixels.data() + c;
    size_t i = 0;
    for (; i + 4 <= pixels; i += 4, v += 4 * channels)
      for (size_t k = 0; k < 4; ++k) ++counts[k][v[k * channels]];
    for (; i < pixels; ++i, v += channels) ++counts[0][*v];
    for (size_t value = 0; value < 256; ++value)
      out[c][value] = int64_t{counts[0][value]} + counts[1][value] + counts[2][value] + counts[3][value];
  }
  return out;
}

template <class Value>
Table table_of(Value value) {
  Table t;
  for (int i = 0; i < 256; ++i) t[static_cast<size_t>(i)] = static_cast<uint8_t>(value(i));
  return t;
}
Table unchanged() { return table_of([](int v) { return v; }); }

Table stretched(const Histogram& h) {
  int lo = 0, hi = 255;
  while (lo < 255 && h[static_cast<size_t>(lo)] == 0) ++lo;
  while (hi > 0 && h[static_cast<size_t>(hi)] == 0) --hi;
  if (hi <= lo) return unchanged();
  const double scale = 255.0 / (hi - lo), offset = -lo * scale;
  return table_of([=](int v) { return std::clamp(static_cast<int>(v * scale + offset), 0, 255); });
}

Table spread(const Histogram& h) {
  int64_t sum = 0, last = 0, kinds = 0;
  for (const int64_t n : h) {
    sum += n;
    if (n != 0) last = n, ++kinds;
  }
  const int64_t step = (sum - last) / 255;
  if (kinds <= 1 || step == 0) return unchanged();
  int64_t n = step / 2;
  return table_of([&](int v) {
    const int64_t value = n / step;
    n += h[static_cast<size_t>(v)];
    return std::min<int64_t>(value, 255);
  });
}

template <class TableOf>
Image by_histogram(Image image, TableOf make) {
  std::vector<Table> tables;
  for (const Histogram& h : histograms(image)) tables.push_back(make(h));
  return looked_up(std::move(image), tables);
}

template <class Value>
Image by_value(Image image, Value value) {
  check(image);
  for (uint8_t& v : image.pixels) v = static_cast<uint8_t>(value(int{v}));
  return image;
}

}  // namespace

Image looked_up(Image image, std::span<const Table> tables) {
  check(image);
  const auto channels = static_cast<size_t>(image.channels);
  if (tables.size() == 1) {
    const Table t = tables[0];
    for (uint8_t& v : image.pixels) v = t[v];
    return image;
  }
  if (tables.size() != channels)
    throw Error(Error::Kind::argument, str_cat(tables.size(), " tables for an image of ", channels, " channels"),
                "one, or one a channel");
  const std::array<Table, 3> t{tables[0], tables[1], tables[2]};
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    for (size_t c = 0; c < 3; ++c) image.pixels[i + c] = t[c][image.pixels[i + c]];
  return image;
}

Image auto_contrasted(Image image) { return by_histogram(std::move(image), stretched); }

Image equalized(Image image) { return by_histogram(std::move(image), spread); }

Image inverted(Image image) {
  return by_value(std::move(image), [](int v) { return 255 - v; });
}

Image posterized(Image image, int bits) {
  const int mask = bits >= 8 ? 0xFF : bits <= 0 ? 0 : 0xFF & ~((1 << (8 - bits)) - 1);
  return by_value(std::move(image), [=](int v) { return v & mask; });
}

Image solarized(Image image, int threshold) {
  return by_value(std::move(image), [=](int v) { return v < threshold ? v : 255 - v; });
}

Image solarize_added(Image image, int add, int threshold) {
  return by_value(std::move(image), [=](int v) { return v < threshold ? std::clamp(v + add, 0, 255) : v; });
}

}  // namespace fovea::data
