// SPDX-License-Identifier: Apache-2.0
// data/decode.cpp — files and bytes to images: reading, recognising, and the errors all decoders share.
#include "data/decode.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "data/codec.h"
#include "engine/core/error.h"
#include "engine/core/out_of_memory.h"

namespace fovea::data {

static constexpr size_t kHeaderBytes = 64 << 10;       // nearly every JPEG says its size within these
static constexpr size_t kMostBytes = size_t{1} << 30;  // no real image is larger; stops at endless devices

std::string_view name_of(Format format) {
  switch (format) {
    case Format::jpeg: return "JPEG";
    case Format::png: return "PNG";
    case Format::bmp: return "BMP";
    case Format::gif: return "GIF";
    case Format::tiff: return "TIFF";
    case Format::webp: break;
  }
  return "WebP";
}

void Source::broken(Format format, std::string_view why) const {
  throw Error(Error::Kind::format, str_cat(name, " is a broken ", name_of(format), " image: ", why));
}

void Source::truncated(Format format) const {
  throw Error(Error::Kind::format,
              str_cat(name, " is a truncated ", name_of(format), " image: it ends after ", bytes.size(),
                      " bytes, before the last row"),
              format == Format::webp ? "" : "allow_truncated keeps the part that is there");
}

void Source::check_size(int64_t width, int64_t height) const {
  if (width < 1 || height < 1)
    throw Error(Error::Kind::format, str_cat(name, " says that it is ", width, "x", height, " pixels"));
  if (width > options.max_pixels / height)
    throw Error(
        Error::Kind::format,
        str_cat(name, " says that it is ", width, "x", height, " pixels, more than the limit of ", options.max_pixels),
        "it may be meant to exhaust memory; raise max_pixels to read it nevertheless");
}

Image Source::canvas(int64_t width, int64_t height) const {
  check_size(width, height);
  return make_image(static_cast<int>(width), static_cast<int>(height), 3);
}

static std::vector<std::byte> read_file(const std::string& path, size_t most) {
  const auto fail = [&](std::string_view why) {
    if (errno == ENOMEM) throw std::bad_alloc();
    throw Error(Error::Kind::io, str_cat("cannot read image ", path, ": ", why));
  };
  errno = 0;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) fail(std::strerror(errno));
  std::vector<std::byte> bytes;
  for (size_t chunk = kHeaderBytes; bytes.size() < most; chunk *= 2) {
    const size_t had = bytes.size(), want = std::min(chunk, most - had);
    bytes.resize(had + want);
    const size_t got = std::fread(bytes.data() + had, 1, want, file.get());
    bytes.resize(had + got);
    if (got < want) {
      if (std::ferror(file.get())) fail(std::strerror(errno));
      return bytes;
    }
  }
  if (most == kMostBytes) fail(str_cat("it is larger than ", kMostBytes, " bytes"));
  return bytes;
}

static std::string decoded_formats() {
  std::string all;
  for (Format f : {Format::jpeg, Format::png, Format::webp, Format::gif, Format::bmp, Format::tiff})
    if (can_decode(f) || !can_decode()) all += str_cat(all.empty() ? "" : ", ", name_of(f));
  return all;
}

static Format recognise(std::span<const std::byte> bytes, std::string_view name) {
  if (const auto format = format_of(bytes)) return *format;
  throw Error(Error::Kind::format, str_cat(name, " is not an image fovea reads: it is ", describe(bytes)),
              str_cat("these are read: ", decoded_formats()));
}

std::span<const std::string_view> image_suffixes() {
  static constexpr std::string_view kSuffixes[] = {".jpg",  ".jpeg", ".jpe", ".jfif", ".png",
                                                   ".webp", ".gif",  ".bmp", ".tif",  ".tiff"};
  return kSuffixes;
}

bool has_image_suffix(std::string_view path) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto ends_so = [&](std::string_view suffix) {
    return path.size() > suffix.size() &&
           std::equal(suffix.rbegin(), suffix.rend(), path.rbegin(), [&](char b, char a) { return same(a, b); });
  };
  const std::span<const std::string_view> all = image_suffixes();
  return std::any_of(all.begin(), all.end(), ends_so);
}

bool can_decode() { return FOVEA_IMAGES != 0; }

bool can_decode(Format format) {
  if (format == Format::webp) return FOVEA_WEBP != 0;
  if (format == Format::gif) return FOVEA_GIF != 0;
  if (format == Format::tiff) return FOVEA_TIFF != 0;
  return FOVEA_IMAGES != 0;
}

static void decode_into(const Source& source, Image& out) {
  const std::span<const std::byte> bytes = source.bytes;
  const std::string_view name = source.name;
  const Format format = recognise(bytes, name);
#if FOVEA_IMAGES
  // What counts in a PNG need not be its first header.
  if (const auto info = read_header(bytes); info && format != Format::png) source.check_size(info->width, info->height);
  try {
    switch (format) {
      case Format::jpeg: return decode_jpeg(source, out);
      case Format::png: out = decode_png(source); return;
      case Format::bmp: out = decode_bmp(source); return;
#if FOVEA_WEBP
      case Format::webp: out = decode_webp(source); return;
#endif
#if FOVEA_GIF
      case Format::gif: out = decode_gif(source); return;
#endif
#if FOVEA_TIFF
      case Format::tiff: out = decode_tiff(source); return;
#endif
      default: break;
    }
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(str_cat(name, ": there is not enough memory to decode it"),
                      "a lower max_pixels refuses such images");
  }
#else
  (void)out;
#endif
  throw Error(Error::Kind::unsupported, str_cat(name, ": this build of fovea does not decode ", name_of(format)),
              format == Format::webp && can_decode()   ? "configure with -Dwebp=enabled (libwebp)"
              : format == Format::gif && can_decode()  ? "configure with -Dgif=enabled (giflib)"
              : format == Format::tiff && can_decode() ? "configure with -Dtiff=enabled (libtiff)"
                                                       : "configure with -Dimages=enabled");
}

Image decode(std::span<const std::byte> bytes, const DecodeOptions& options, std::string_view name) {
  Image out;
  decode_into({bytes, name, options}, out);
  return out;
}

void decode_part(std::span<const std::byte> bytes, const Look& look, Image& out, const DecodeOptions& options,
                 std::string_view name) {
  if (look.reduce != 1 && look.reduce != 2 && look.reduce != 4 && look.reduce != 8)
    throw Error(Error::Kind::argument, str_cat("an image cannot be reduced to 1/", look.reduce), "1, 2, 4 or 8");
  decode_into({bytes, name, options, &look}, out);
}

Image read_image(const std::string& path, const DecodeOptions& options) {
  return decode(read_file(path, kMostBytes), options, path);
}

ImageInfo probe(std::span<const std::byte> bytes, std::string_view name) {
  const Format format = recognise(bytes, name);
  if (const auto info = read_header(bytes)) return *info;
  throw Error(Error::Kind::format,
              str_cat(name, " is a ", name_of(format), " image whose header is broken or cut off"));
}

ImageInfo probe_image(const std::string& path) {
  const std::vector<std::byte> start = read_file(path, kHeaderBytes);
  if (start.size() < kHeaderBytes || read_header(start)) return probe(start, path);
  return probe(read_file(path, kMostBytes), path);
}

}  // namespace fovea::data
