// SPDX-License-Identifier: Apache-2.0
// data/header.cpp — format and size of an image from its first bytes, with no decoder involved.
#include <algorithm>
#include <iterator>

#include "data/codec.h"
#include "engine/core/text.h"

namespace fovea::data {

namespace {

/// Reads that answer zero past the end: the checks afterwards then fail by themselves.
struct Bytes {
  std::span<const std::byte> all;
  uint32_t at(size_t i) const { return i < all.size() ? static_cast<uint32_t>(all[i]) : 0; }
  uint32_t big16(size_t i) const { return at(i) << 8 | at(i + 1); }
  uint32_t big32(size_t i) const { return big16(i) << 16 | big16(i + 2); }
  uint32_t little16(size_t i) const { return at(i + 1) << 8 | at(i); }
  uint32_t little24(size_t i) const { return at(i + 2) << 16 | little16(i); }
  uint32_t little32(size_t i) const { return little16(i + 2) << 16 | little16(i); }
  bool has(size_t i, std::string_view text) const {
    if (i > all.size() || all.size() - i < text.size()) return false;
    return std::equal(text.begin(), text.end(), all.begin() + static_cast<std::ptrdiff_t>(i),
                      [](char c, std::byte b) { return static_cast<std::byte>(c) == b; });
  }
};

std::optional<ImageInfo> sized(Format format, uint32_t width, uint32_t height) {
  if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX) return std::nullopt;
  return ImageInfo{format, static_cast<int>(width), static_cast<int>(height)};
}

std::optional<ImageInfo> jpeg_header(Bytes b) {
  for (size_t i = 2; i + 4 <= b.all.size();) {
    const uint32_t marker = b.at(i + 1);
    if (b.at(i) != 0xFF || marker == 0xFF || marker == 0) {  // stray bytes and padding between segments
      ++i;
      continue;
    }
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) {
      if (i + 9 > b.all.size()) return std::nullopt;
      return sized(Format::jpeg, b.big16(i + 7), b.big16(i + 5));
    }
    const bool bare = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    if (marker == 0xD9 || marker == 0xDA) return std::nullopt;
    i += bare ? 2 : 2 + std::max<size_t>(b.big16(i + 2), 2);
  }
  return std::nullopt;
}

std::optional<ImageInfo> webp_header(Bytes b) {
  if (b.has(12, "VP8X") && b.all.size() >= 30) return sized(Format::webp, b.little24(24) + 1, b.little24(27) + 1);
  if (b.has(12, "VP8 ") && b.has(23, "\x9d\x01\x2a") && b.all.size() >= 30)
    return sized(Format::webp, b.little16(26) & 0x3FFF, b.little16(28) & 0x3FFF);
  if (b.has(12, "VP8L") && b.at(20) == 0x2F && b.all.size() >= 25) {
    const uint32_t bits = b.little24(21) | b.at(24) << 24;
    return sized(Format::webp, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
  }
  return std::nullopt;
}

std::optional<ImageInfo> bmp_header(Bytes b) {
  const uint32_t size = b.little32(14);
  if (b.all.size() < 26) return std::nullopt;
  if (size == 12) return sized(Format::bmp, b.little16(18), b.little16(20));
  const uint32_t height = b.little32(22);
  return sized(Format::bmp, b.little32(18), b.at(25) == 0xFF ? 0u - height : height);
}

// Of the first directory, where a sane file has it.
std::optional<ImageInfo> tiff_header(Bytes b) {
  const bool big = b.at(0) == 'M';
  const auto word = [&](size_t i) { return big ? b.big16(i) : b.little16(i); };
  const auto number = [&](size_t i) { return big ? b.big32(i) : b.little32(i); };
  const size_t start = number(4);
  uint32_t width = 0, height = 0, orientation = 1;
  for (size_t i = 0; i < word(start) && start + 14 + 12 * i <= b.all.size(); ++i) {
    const size_t entry = start + 2 + 12 * i;
    const uint32_t value = word(entry + 2) == 3 ? word(entry + 8) : number(entry + 8);
    if (word(entry) == 256) width = value;
    if (word(entry) == 257) height = value;
    if (word(entry) == 274) orientation = value;
  }
  const bool swapped = orientation >= 5 && orientation <= 8;
  return sized(Format::tiff, swapped ? height : width, swapped ? width : height);
}

struct Signature {
  size_t at;
  std::string_view bytes, name;
};
constexpr Signature kSignatures[] = {
    {4, "ftypavif", "an AVIF image"},
    {4, "ftypheic", "a HEIC image"},
    {4, "ftyp", "an MP4 or HEIF file"},
    {0, std::string_view("\0\0\0\x0cjP  ", 8), "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51", "a JPEG 2000 image"},
    {0, "\xff\x0a", "a JPEG XL image"},
    {0, "%PDF", "a PDF document"},
    {0, "PK\x03\x04", "a ZIP archive (or a PyTorch checkpoint)"},
    {0, "\x1f\x8b", "gzip-compressed data"},
    {0, "\x93NUMPY", "a NumPy array"},
    {0, "version https://git-lfs", "a Git LFS pointer, not the file itself"},
    {0, "<!DOCTYPE", "an HTML page"},
    {0, "<html", "an HTML page"},
    {0, "<svg", "an SVG drawing"},
    {0, "<?xml", "XML text"},
};

}  // namespace

std::optional<Format> format_of(std::span<const std::byte> bytes) {
  const Bytes b{bytes};
  if (b.has(0, "\xff\xd8\xff")) return Format::jpeg;
  if (b.has(0, "\x89PNG\r\n\x1a\n")) return Format::png;
  if (b.has(0, "RIFF") && b.has(8, "WEBP")) return Format::webp;
  if (b.has(0, "GIF87a") || b.has(0, "GIF89a")) return Format::gif;
  if (b.has(0, "BM")) return Format::bmp;
  if (b.has(0, std::string_view("II*\0", 4)) || b.has(0, std::string_view("MM\0*", 4))) return Format::tiff;
  return std::nullopt;
}

std::optional<ImageInfo> read_header(std::span<const std::byte> bytes) {
  const auto format = format_of(bytes);
  const Bytes b{bytes};
  if (format == Format::jpeg) return jpeg_header(b);
  if (format == Format::webp) return webp_header(b);
  if (format == Format::gif && bytes.size() >= 10) return sized(Format::gif, b.little16(6), b.little16(8));
  if (format == Format::bmp) return bmp_header(b);
  if (format == Format::tiff) return tiff_header(b);
  if (format == Format::png && b.has(12, "IHDR") && bytes.size() >= 24)
    return sized(Format::png, b.big32(16), b.big32(20));
  return std::nullopt;
}

std::string describe(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "empty";
  const Bytes b{bytes};
  for (const Signature& s : kSignatures)
    if (b.has(s.at, s.bytes)) return std::string(s.name);
  const size_t shown = std::min<size_t>(bytes.size(), 16);
  std::string text, hex;
  for (size_t i = 0; i < shown; ++i) {
    const uint32_t v = b.at(i);
    if (v >= 0x20 && v < 0x7F) text += static_cast<char>(v);
    hex += "0123456789abcdef"[v >> 4];
    hex += "0123456789abcdef"[v & 15];
    if (i + 1 < shown) hex += ' ';
  }
  return text.size() == shown ? str_cat("text that starts with '", text, "'")
                              : str_cat("unknown data that starts with ", hex);
}

}  // namespace fovea::data
