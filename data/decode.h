// SPDX-License-Identifier: Apache-2.0
// data/decode.h — image files to RGB pixels, as Pillow's Image.open(f).convert('RGB') gives them.
//
// Like timm, it drops transparency, takes the first frame of animations, and follows orientation tags in TIFF alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/image.h"
#include "data/resize.h"

namespace fovea::data {

enum class Format : uint8_t { jpeg, png, webp, bmp, gif, tiff };
std::string_view name_of(Format format);  // "JPEG", "PNG", "WebP", ...

struct DecodeOptions {
  int64_t max_pixels = 178'956'970;  // refused by the header alone; Pillow's limit against decompression bombs
  bool allow_truncated = false;      // keep what a cut-off JPEG or PNG still holds; the rest is grey or black
};

struct ImageInfo {
  Format format = Format::jpeg;
  int width = 0, height = 0;
};

/// How names of images end: ".jpg", ... in lower case.
std::span<const std::string_view> image_suffixes();
/// Is the name that of an image, in any case? The bytes may say something else.
bool has_image_suffix(std::string_view path);

bool can_decode();               // false when fovea was built with -Dimages=disabled
bool can_decode(Format format);  // GIF and TIFF have options of their own

/// `name` is what errors call the bytes.
Image decode(std::span<const std::byte> bytes, const DecodeOptions& options = {}, std::string_view name = "image");
Image read_image(const std::string& path, const DecodeOptions& options = {});

/// What somebody will look at of an image whose size he knows from probe().
struct Look {
  int width = 0, height = 0;                       // of the whole image
  Part part{};                                     // of what is decoded; no width: all of it
  /// 2, 4 or 8: a JPEG at this part of its size, rounded up, by leaving out coefficients. Faster, and not the pixels
  /// that resizing gives.
  int reduce = 1;
};
/// decode() into `out`, whose memory is used again. Pixels outside of the part may be anything; those within, errors
/// and the size are the same as of the whole, unless it is to be reduced. An image that is not of the size that was
/// looked at, or no JPEG, is decoded as a whole.
void decode_part(std::span<const std::byte> bytes, const Look& look, Image& out, const DecodeOptions& options = {},
                 std::string_view name = "image");

/// Format and size from the header, without decoding.
ImageInfo probe(std::span<const std::byte> bytes, std::string_view name = "image");
ImageInfo probe_image(const std::string& path);

}  // namespace fovea::data
