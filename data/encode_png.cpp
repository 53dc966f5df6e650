// SPDX-License-Identifier: Apache-2.0
#include "data/encode_png.h"

#include <zlib.h>

#include <cstdint>
#include <string_view>

#include "engine/core/error.h"

namespace fovea::data {
namespace {

std::string big_endian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

std::string chunk(std::string_view type, std::string_view content) {
  const std::string body = std::string(type) + std::string(content);
  const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(content.size())) + body + big_endian(static_cast<uint32_t>(sum));
}

}  // namespace

std::string encode_png(const Image& image) {
  check(image);
  constexpr char up = 2;                           // rows are written as differences to the one above
  std::string rows;
  rows.reserve((image.pitch() + 1) * static_cast<size_t>(image.height));
  for (int y = 0; y < image.height; ++y) {
    rows += up;
    for (size_t i = 0; i < image.pitch(); ++i)
      rows += static_cast<char>(image.row(y)[i] - (y > 0 ? image.row(y - 1)[i] : 0));
  }
  uLongf size = compressBound(static_cast<uLong>(rows.size()));
  std::string packed(size, '\0');
  if (compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()),
               static_cast<uLong>(rows.size())) != Z_OK || size > INT32_MAX)
    throw Error(Error::Kind::internal, str_cat("zlib did not pack an image of ", image.width, "x", image.height));
  packed.resize(size);
  const std::string header = big_endian(static_cast<uint32_t>(image.width)) +
                             big_endian(static_cast<uint32_t>(image.height)) +
                             std::string{8, static_cast<char>(image.channels == 3 ? 2 : 0), 0, 0, 0};
  return std::string("\x89PNG\r\n\x1a\n", 8) + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", "");
}

}  // namespace fovea::data
