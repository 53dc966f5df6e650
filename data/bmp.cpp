// SPDX-License-Identifier: Apache-2.0
// data/bmp.cpp — BMP: bare, packed by runs, or with masks; what Pillow reads, as it reads it.
//
// No library of its own keeps this format; it is a header, a palette and rows.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "data/codec.h"
#include "engine/core/text.h"

namespace fovea::data {

namespace {

using Rgb = std::array<uint8_t, 3>;

enum Compression : uint32_t { raw = 0, rle8 = 1, rle4 = 2, masks = 3 };

/// Where red, green and blue are in a pixel: which byte, or, in pixels of two bytes, from which bit on.
struct Layout {
  int bytes, red, green, blue;
};

class BmpReader {
 public:
  explicit BmpReader(const Source& source) : source_(source) {}
  Image read();

 private:
  uint32_t at(size_t i) const { return i < source_.bytes.size() ? source_.data()[i] : fail(); }
  uint32_t little16(size_t i) const { return at(i) | at(i + 1) << 8; }
  uint32_t little32(size_t i) const { return little16(i) | little16(i + 2) << 16; }
  uint32_t fail() const { source_.truncated(Format::bmp); }
  [[noreturn]] void broken(std::string_view why) const { source_.broken(Format::bmp, why); }

  void read_header();
  void read_palette();
  Layout layout() const;
  void read_rows();
  void read_runs();
  void store(int row, const uint8_t* in);
  int place(int row) const { return top_down_ ? row : image_.height - 1 - row; }

  const Source& source_;
  Image image_;
  size_t header_ = 0, pixels_ = 0, palette_at_ = 0, entry_ = 4;
  uint32_t bits_ = 0, unpacked_ = 0, compression_ = raw, colours_ = 0;
  bool top_down_ = false;
  std::array<uint32_t, 4> masks_{};
  Layout layout_{};
  std::array<Rgb, 256> palette_{};
};

void BmpReader::read_header() {
  constexpr size_t kFileHeader = 14, kCore = 12;
  header_ = little32(kFileHeader);
  pixels_ = little32(10);
  uint32_t width = 0, height = 0;
  if (header_ == kCore) {
    width = little16(18), height = little16(20), bits_ = little16(24);
    entry_ = 3;
  } else if (header_ == 40 || header_ == 52 || header_ == 56 || header_ == 64 || header_ == 108 || header_ == 124) {
    width = little32(18), height = little32(22), bits_ = little16(28);
    compression_ = little32(30);
    colours_ = little32(46);
    top_down_ = at(25) == 0xFF;
    if (top_down_) height = 0u - height;
  } else {
    broken(str_cat("its header takes ", header_, " bytes"));
  }
  palette_at_ = kFileHeader + header_;
  if (palette_at_ > source_.bytes.size()) fail();
  if (compression_ == masks) {
    const size_t count = header_ >= 56 ? 4 : 3;
    for (size_t i = 0; i < count; ++i) masks_[i] = little32(54 + 4 * i);
    if (header_ < 52) palette_at_ += 12;
  }
  if (colours_ == 0 && bits_ < 32) colours_ = 1u << bits_;
  if (pixels_ == kFileHeader + header_ && bits_ <= 8) pixels_ += entry_ * colours_;
  image_ = source_.canvas(width, height);
}

// A palette of greys in order is none: pixels are greys then, also beyond its end.
void BmpReader::read_palette() {
  if (colours_ == 0 || colours_ > 65536) broken(str_cat("its palette has ", colours_, " colours"));
  const size_t have = std::min<size_t>(source_.bytes.size() - palette_at_, entry_ * colours_);
  const uint8_t* entries = source_.data() + palette_at_;
  bool grey = true;
  for (size_t i = 0; i < colours_; ++i) {
    const size_t wanted = colours_ == 2 ? 255 * i : i;
    for (size_t c = 0; c < 3; ++c) {
      const size_t k = entry_ * i + c;
      grey = grey && wanted < 256 && k < have && entries[k] == wanted;
    }
  }
  if (!grey && have / entry_ > palette_.size()) broken(str_cat("its palette has ", have / entry_, " colours"));
  for (size_t i = 0; i < palette_.size(); ++i) {
    if (grey && colours_ <= 2) palette_[i].fill(i ? 255 : 0);
    else if (grey) palette_[i].fill(static_cast<uint8_t>(i));
    else if (i < have / entry_) palette_[i] = {entries[entry_ * i + 2], entries[entry_ * i + 1], entries[entry_ * i]};
  }
  if (grey) unpacked_ = colours_ <= 2 ? 1 : 8;  // whatever the rows have: so does Pillow
  if (pixels_ == 0) pixels_ = palette_at_ + have;
}

Layout BmpReader::layout() const {
  const std::array<uint32_t, 3> rgb{masks_[0], masks_[1], masks_[2]};
  using Masks = std::array<uint32_t, 3>;
  if (compression_ != masks) return bits_ == 16 ? Layout{2, 10, 5, 0} : Layout{static_cast<int>(bits_ / 8), 2, 1, 0};
  if (bits_ == 16 && rgb == Masks{0xF800, 0x7E0, 0x1F}) return {2, 11, 5, 0};
  if (bits_ == 16 && rgb == Masks{0x7C00, 0x3E0, 0x1F}) return {2, 10, 5, 0};
  if (bits_ == 24 && rgb == Masks{0xFF0000, 0xFF00, 0xFF}) return {3, 2, 1, 0};
  if (bits_ == 32) {
    const uint32_t alpha = masks_[3];
    if (rgb == Masks{0xFF0000, 0xFF00, 0xFF} && (alpha == 0 || alpha == 0xFF000000)) return {4, 2, 1, 0};
    if (rgb == Masks{0xFF000000, 0xFF0000, 0xFF00} && (alpha == 0 || alpha == 0xFF)) return {4, 3, 2, 1};
    if (rgb == Masks{0xFF000000, 0xFF00, 0xFF} && (alpha == 0 || alpha == 0xFF0000)) return {4, 3, 1, 0};
    if (rgb == Masks{0xFF, 0xFF00, 0xFF0000} && alpha == 0xFF000000) return {4, 0, 1, 2};
    if (rgb == Masks{} && alpha == 0) return {4, 2, 1, 0};
  }
  broken(str_cat("its colours are laid out in an unusual way, in ", bits_, " bits"));
}

void BmpReader::store(int row, const uint8_t* in) {
  uint8_t* out = image_.row(place(row));
  const auto width = static_cast<size_t>(image_.width);
  if (bits_ <= 8) {
    for (size_t x = 0; x < width; ++x, out += 3) {
      const size_t bit = x * unpacked_;
      std::memcpy(out, palette_[in[bit / 8] >> (8 - unpacked_ - bit % 8) & ((1u << unpacked_) - 1)].data(), 3);
    }
  } else if (layout_.bytes == 2) {
    const bool six = layout_.red == 11;
    for (size_t x = 0; x < width; ++x, in += 2, out += 3) {
      const unsigned pixel = in[0] | in[1] << 8;
      out[0] = static_cast<uint8_t>((pixel >> layout_.red & 31) * 255 / 31);
      out[1] = static_cast<uint8_t>(six ? (pixel >> 5 & 63) * 255 / 63 : (pixel >> 5 & 31) * 255 / 31);
      out[2] = static_cast<uint8_t>((pixel & 31) * 255 / 31);
    }
  } else {
    for (size_t x = 0; x < width; ++x, in += layout_.bytes, out += 3) {
      out[0] = in[layout_.red];
      out[1] = in[layout_.green];
      out[2] = in[layout_.blue];
    }
  }
}

void BmpReader::read_rows() {
  const auto row_bytes = [&](uint32_t bits) { return (static_cast<size_t>(image_.width) * bits + 7) / 8; };
  const size_t pitch = (row_bytes(bits_) + 3) / 4 * 4, used = row_bytes(unpacked_);
  if (used > pitch) broken("it has a palette of greys, but fewer bits than these");
  for (int y = 0; y < image_.height; ++y) {
    const size_t start = pixels_ + pitch * static_cast<size_t>(y);
    if (start > source_.bytes.size() || source_.bytes.size() - start < used) {
      if (!source_.options.allow_truncated) fail();
      return;
    }
    store(y, source_.data() + start);
  }
}

// Runs and stretches of bytes; what they leave out is of the first colour. Too few pixels are an error.
void BmpReader::read_runs() {
  const auto width = static_cast<size_t>(image_.width);
  const size_t total = width * static_cast<size_t>(image_.height);
  std::vector<uint8_t> pixels;
  pixels.reserve(total);
  const std::span<const std::byte> all = source_.bytes;
  size_t at = pixels_, x = 0;
  const auto left = [&] { return at < all.size() ? all.size() - at : 0; };
  const auto next = [&] { return static_cast<uint8_t>(all[at++]); };
  const auto half = [](uint8_t byte, size_t i) { return static_cast<uint8_t>(i % 2 ? byte & 15 : byte >> 4); };
  const bool four = compression_ == rle4;
  while (pixels.size() < total && left() >= 2) {
    const size_t count = next();
    const uint8_t byte = next();
    if (count) {
      const size_t fits = x + count > width ? width - std::min(x, width) : count;
      for (size_t i = 0; i < fits; ++i) pixels.push_back(four ? half(byte, i) : byte);
      x += fits;
    } else if (byte == 0) {
      while (pixels.size() % width != 0) pixels.push_back(0);
      x = 0;
    } else if (byte == 1) {
      break;
    } else if (byte == 2) {
      if (left() < 2) break;
      const size_t right = next(), up = next();
      pixels.resize(pixels.size() + std::min(total - std::min(total, pixels.size()), right + up * width));
      x = pixels.size() % width;
    } else {
      const size_t wanted = std::min<size_t>(total - pixels.size(), byte);
      const size_t bytes = four ? (wanted + 1) / 2 : wanted, have = std::min(bytes, left());
      for (size_t i = 0; i < (four ? std::min(2 * have, wanted) : have); ++i)
        pixels.push_back(four ? half(static_cast<uint8_t>(all[at + i / 2]), i) : static_cast<uint8_t>(all[at + i]));
      at += have;
      if (have < bytes || pixels.size() == total) break;
      x += byte;
      at += at % 2;
    }
  }
  if (pixels.size() < total && !source_.options.allow_truncated) broken("its runs have too few pixels");
  pixels.resize(std::max(total, pixels.size()));
  for (int y = 0; y < image_.height; ++y)
    for (size_t i = 0; i < width; ++i)
      std::memcpy(image_.row(place(y)) + 3 * i, palette_[pixels[static_cast<size_t>(y) * width + i]].data(), 3);
}

Image BmpReader::read() {
  read_header();
  if (bits_ != 1 && bits_ != 4 && bits_ != 8 && bits_ != 16 && bits_ != 24 && bits_ != 32)
    broken(str_cat(bits_, " bits a pixel"));
  if (compression_ > masks) broken(str_cat("it is packed by method ", compression_));
  if (compression_ == masks && bits_ <= 8) broken("it has masks of colours and a palette");
  unpacked_ = bits_;
  if (bits_ <= 8) read_palette();
  else layout_ = layout();
  if (pixels_ == 0) pixels_ = palette_at_;
  if (compression_ == rle8 || compression_ == rle4) {
    if (bits_ > 8) broken("it is packed by runs, but has no palette");
    read_runs();
  } else {
    read_rows();
  }
  return std::move(image_);
}

}  // namespace

Image decode_bmp(const Source& source) { return BmpReader(source).read(); }

}  // namespace fovea::data
