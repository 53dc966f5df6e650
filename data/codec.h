// SPDX-License-Identifier: Apache-2.0
// data/codec.h — what decode.cpp and the decoders share. Private to data/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/decode.h"

namespace fovea::data {

/// An encoded image, and how to speak of it.
struct Source {
  std::span<const std::byte> bytes;
  std::string_view name;
  DecodeOptions options;
  const Look* look = nullptr;                      // what of it is wanted; null: all

  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  [[noreturn]] void broken(Format format, std::string_view why) const;
  [[noreturn]] void truncated(Format format) const;
  void check_size(int64_t width, int64_t height) const;  // throws when that exceeds options.max_pixels
  Image canvas(int64_t width, int64_t height) const;     // black RGB, after that check
};

void decode_jpeg(const Source& source, Image& out);
Image decode_png(const Source& source);
Image decode_webp(const Source& source);  // only with FOVEA_WEBP
Image decode_bmp(const Source& source);
Image decode_gif(const Source& source);   // only with FOVEA_GIF
Image decode_tiff(const Source& source);  // only with FOVEA_TIFF

// For codecs(): of the libraries behind them.
std::string jpeg_version();
std::string png_version();
std::string webp_version();
std::string gif_version();
std::string tiff_version();

/// The format that the first bytes claim.
std::optional<Format> format_of(std::span<const std::byte> bytes);
/// What bytes that are none of our formats look like: "a GIF image", "text that starts with ...".
std::string describe(std::span<const std::byte> bytes);
/// Size from the header; nullopt when the header is broken or cut off.
std::optional<ImageInfo> read_header(std::span<const std::byte> bytes);

}  // namespace fovea::data
