// SPDX-License-Identifier: Apache-2.0
// data/png.cpp — PNG to 8-bit RGB: rows out of the packed stream, every colour type and depth.
//
// Pillow reads PNGs by itself, not with libpng, and goes on where libpng gives up. To agree with it on every damaged
// file, this reader hands zlib the same pieces and stops where Pillow does.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include <zlib.h>

#include "data/codec.h"
#include "data/png_chunks.h"
#include "engine/core/error.h"

namespace fovea::data {

namespace {

/// Which pixels of the image a pass has; a file that is not interlaced has one pass of all.
struct Pass {
  uint32_t x, y, dx, dy;
  uint32_t columns(uint32_t width) const { return width > x ? (width - x + dx - 1) / dx : 0; }
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

int channels_of(PngChunks::Colour colour) {
  switch (colour) {
    case PngChunks::rgb: return 3;
    case PngChunks::rgba: return 4;
    case PngChunks::grey_alpha: return 2;
    default: return 1;
  }
}

struct Inflater {
  z_stream z{};
  Inflater() {
    const int state = inflateInit(&z);
    if (state == Z_MEM_ERROR) throw std::bad_alloc();
    if (state != Z_OK) throw Error(Error::Kind::internal, "zlib does not start");
  }
  ~Inflater() { inflateEnd(&z); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

uint8_t paeth(int a, int b, int c) {
  const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
  return static_cast<uint8_t>(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/// Undoes the filter of a row, given the row above. False: there is no such filter.
bool unfilter(int filter, uint8_t* row, const uint8_t* above, size_t length, size_t step) {
  const size_t first = std::min(step, length);
  const auto add = [](uint8_t& to, int v) { to = static_cast<uint8_t>(to + v); };
  switch (filter) {
    case 0: return true;
    case 1:
      for (size_t i = step; i < length; ++i) add(row[i], row[i - step]);
      return true;
    case 2:
      for (size_t i = 0; i < length; ++i) add(row[i], above[i]);
      return true;
    case 3:
      for (size_t i = 0; i < first; ++i) add(row[i], above[i] / 2);
      for (size_t i = step; i < length; ++i) add(row[i], (row[i - step] + above[i]) / 2);
      return true;
    case 4:
      for (size_t i = 0; i < first; ++i) add(row[i], above[i]);
      for (size_t i = step; i < length; ++i) add(row[i], paeth(row[i - step], above[i], above[i - step]));
      return true;
    default: return false;
  }
}

class PngReader {
 public:
  explicit PngReader(const Source& source) : source_(source), chunks_(source) {}
  Image read();

 private:
  bool read_rows();
  bool next_row();
  void start_pass();
  void store(const uint8_t* in);
  size_t row_length() const { return (size_t{columns_} * bits_ + 7) / 8; }

  const Source& source_;
  PngChunks chunks_;
  Image image_;
  PngChunks::Rectangle area_;  // of the image, covered by the rows
  std::span<const Pass> passes_ = kWhole;
  size_t pass_ = 0, bits_ = 0;  // of a pixel
  uint32_t columns_ = 0, y_ = 0;
  std::vector<uint8_t> row_, above_;  // each with its filter in front
  size_t filled_ = 0;                 // bytes of row_
};

void PngReader::start_pass() {
  y_ = passes_[pass_].y;
  columns_ = passes_[pass_].columns(area_.width);
}

// False: that was the last row.
bool PngReader::next_row() {
  std::swap(row_, above_);
  filled_ = 0;
  y_ += passes_[pass_].dy;
  while (y_ >= area_.height || columns_ == 0) {
    if (++pass_ == passes_.size()) return false;
    start_pass();
    std::fill(above_.begin(), above_.end(), uint8_t{0});
  }
  return true;
}

void PngReader::store(const uint8_t* in) {
  const Pass& pass = passes_[pass_];
  const size_t step = size_t{3} * pass.dx;
  uint8_t* out = image_.row(static_cast<int>(area_.y + y_)) + 3 * size_t{area_.x + pass.x};
  const auto each = [&](auto pixel) {
    for (size_t i = 0; i < columns_; ++i, out += step) pixel(i, out);
  };
  const size_t sample = chunks_.depth == 16 ? 2 : 1, width = bits_ / 8;
  const auto packed = [&](size_t i) {
    const size_t bit = i * bits_;
    return in[bit / 8] >> (8 - bits_ - bit % 8) & ((1 << bits_) - 1);
  };
  switch (chunks_.colour) {
    case PngChunks::rgb:
    case PngChunks::rgba:
      if (step == 3 && width == 3) return static_cast<void>(std::memcpy(out, in, size_t{3} * columns_));
      return each([&](size_t i, uint8_t* to) {
        for (size_t c = 0; c < 3; ++c) to[c] = in[i * width + c * sample];
      });
    case PngChunks::indexed:
      return each([&](size_t i, uint8_t* to) { std::memcpy(to, chunks_.palette[packed(i)].data(), 3); });
    case PngChunks::grey_alpha: return each([&](size_t i, uint8_t* to) { std::memset(to, in[i * width], 3); });
    case PngChunks::grey: break;
  }
  if (chunks_.depth == 16)  // Pillow clips at 255 instead of scaling
    return each([&](size_t i, uint8_t* to) { std::memset(to, in[2 * i] ? 255 : in[2 * i + 1], 3); });
  const int scale = 255 / ((1 << chunks_.depth) - 1);
  each([&](size_t i, uint8_t* to) { std::memset(to, packed(i) * scale, 3); });
}

// False: the pixels end before the last row, and not between two rows.
bool PngReader::read_rows() {
  constexpr size_t kPiece = 65536;  // as Pillow: it decides where a stream that is too short is noticed
  Inflater inflater;
  z_stream& z = inflater.z;
  for (;;) {
    const std::span<const std::byte> piece = chunks_.next_pixels(kPiece);
    if (piece.empty()) return false;
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(piece.data()));
    z.avail_in = static_cast<uInt>(piece.size());
    while (z.avail_in > 0) {
      const size_t length = row_length();
      z.next_out = row_.data() + filled_;
      z.avail_out = static_cast<uInt>(length + 1 - filled_);
      const int state = inflate(&z, Z_NO_FLUSH);
      if (state == Z_MEM_ERROR) throw std::bad_alloc();
      if (state < 0 || state == Z_NEED_DICT) source_.broken(Format::png, "its pixels do not unpack");
      filled_ = length + 1 - z.avail_out;
      if (filled_ < length + 1) break;
      if (!unfilter(row_[0], row_.data() + 1, above_.data() + 1, length, (bits_ + 7) / 8))
        source_.broken(Format::png, cat("row ", y_, " has the unknown filter ", static_cast<int>(row_[0])));
      store(row_.data() + 1);
      if (!next_row() || state == Z_STREAM_END) return true;  // too few rows: the others stay as they are
    }
  }
}

Image PngReader::read() {
  chunks_.read_header();
  image_ = source_.canvas(chunks_.width, chunks_.height);
  if (chunks_.colour == PngChunks::indexed && chunks_.palette[0] != Rgb{})
    for (size_t i = 0; i < image_.pixels.size(); ++i) image_.pixels[i] = chunks_.palette[0][i % 3];
  area_ = chunks_.frame.value_or(PngChunks::Rectangle{0, 0, chunks_.width, chunks_.height});
  if (area_.width == 0 || area_.height == 0) source_.broken(Format::png, "a frame of its animation is empty");
  if (chunks_.interlaced) {
    passes_ = kAdam7;
    area_.x = area_.y = 0;  // so does Pillow
  }
  bits_ = static_cast<size_t>(chunks_.depth * channels_of(chunks_.colour));
  start_pass();
  row_.resize((size_t{area_.width} * bits_ + 7) / 8 + 1);
  above_.resize(row_.size());
  const auto partly = [&](auto run) {
    try {
      return run();
    } catch (const Error&) {
      if (!source_.options.allow_truncated) throw;
      return true;
    }
  };
  if (!partly([&] { return read_rows(); }) && !source_.options.allow_truncated) source_.truncated(Format::png);
  partly([&] { return chunks_.read_rest(), true; });
  return std::move(image_);
}

}  // namespace

Image decode_png(const Source& source) { return PngReader(source).read(); }

std::string png_version() { return zlibVersion(); }

}  // namespace fovea::data
