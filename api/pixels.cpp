// SPDX-License-Identifier: Apache-2.0
#include "api/pixels.h"

#include <algorithm>

#include "engine/core/error.h"

namespace fovea::capi {
namespace {

// Rows of packed pixels: how many bytes one has, and where its red, green and blue are.
struct Order {
  int bytes, red, green, blue;
};

struct Rows {
  const uint8_t* data;
  int64_t pitch;
  const uint8_t* operator[](int y) const { return data + y * pitch; }
};

Rows rows_of(const void* data, int64_t pitch, int64_t least, const std::string& name) {
  if (!data) throw Error(Error::Kind::argument, cat(name, ": its pixels are NULL"));
  if (pitch != 0 && std::abs(pitch) < least)
    throw Error(Error::Kind::argument, cat(name, ": its pitch is ", pitch, ", but a row has ", least, " bytes"));
  return {static_cast<const uint8_t*>(data), pitch ? pitch : least};
}

data::Image packed(const fovea_image& image, const Order& order, const std::string& name) {
  data::Image out = data::make_image(image.width, image.height, order.bytes == 1 ? 1 : 3);
  const Rows rows = rows_of(image.data, image.pitch, int64_t{image.width} * order.bytes, name);
  for (int y = 0; y < out.height; ++y) {
    const uint8_t* in = rows[y];
    uint8_t* to = out.row(y);
    if (order.bytes == 1) {
      std::copy_n(in, out.pitch(), to);
      continue;
    }
    for (int x = 0; x < out.width; ++x, in += order.bytes, to += 3) {
      to[0] = in[order.red];
      to[1] = in[order.green];
      to[2] = in[order.blue];
    }
  }
  return out;
}

// In 1/256: what a step of Y adds to all, and steps of U and V to red, green and blue.
struct Yuv {
  int black, y, red_v, green_u, green_v, blue_u;
};
constexpr Yuv kColours[] = {
    {16, 298, 409, 100, 208, 516},  // BT.601, Y from 16 to 235
    {16, 298, 459, 55, 136, 541},   // BT.709
    {0, 256, 359, 88, 183, 454},    // BT.601 as JPEG has it, Y from 0 to 255
};

uint8_t clipped(int v) { return static_cast<uint8_t>(std::clamp((v + 128) >> 8, 0, 255)); }

data::Image from_nv12(const fovea_image& image, const std::string& name) {
  if (image.colour < 0 || image.colour >= static_cast<int>(std::size(kColours)))
    throw Error(Error::Kind::argument, cat(name, ": no colour ", image.colour), "FOVEA_BT601, FOVEA_BT709, ...");
  const Yuv& c = kColours[image.colour];
  data::Image out = data::make_image(image.width, image.height, 3);
  const Rows luma = rows_of(image.data, image.pitch, image.width, name);
  const Rows chroma = rows_of(image.chroma, image.chroma_pitch, (int64_t{image.width} + 1) / 2 * 2, name);
  for (int y = 0; y < out.height; ++y) {
    const uint8_t *in = luma[y], *uv = chroma[y / 2];
    uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += 3) {
      const int light = c.y * (in[x] - c.black), u = uv[x / 2 * 2] - 128, v = uv[x / 2 * 2 + 1] - 128;
      to[0] = clipped(light + c.red_v * v);
      to[1] = clipped(light - c.green_u * u - c.green_v * v);
      to[2] = clipped(light + c.blue_u * u);
    }
  }
  return out;
}

}  // namespace

data::Image read_pixels(const fovea_image& image, const data::DecodeOptions& options, const std::string& name) {
  for (const int64_t r : image.reserved)
    if (r != 0) throw Error(Error::Kind::unsupported, cat(name, ": it says what only a newer fovea knows"));
  if (!image.data) throw Error(Error::Kind::argument, cat(name, ": its data are NULL"));
  switch (image.kind) {
    case FOVEA_ENCODED:
      return data::decode({static_cast<const std::byte*>(image.data), image.size}, options, name);
    case FOVEA_FILE: return data::read_image(static_cast<const char*>(image.data), options);
    case FOVEA_RGB: return packed(image, {3, 0, 1, 2}, name);
    case FOVEA_BGR: return packed(image, {3, 2, 1, 0}, name);
    case FOVEA_RGBA: return packed(image, {4, 0, 1, 2}, name);
    case FOVEA_BGRA: return packed(image, {4, 2, 1, 0}, name);
    case FOVEA_GREY: return packed(image, {1, 0, 0, 0}, name);
    case FOVEA_NV12: return from_nv12(image, name);
    default: break;
  }
  throw Error(Error::Kind::argument, cat(name, ": no kind ", image.kind, " of images"), "FOVEA_ENCODED, FOVEA_RGB, ...");
}

}  // namespace fovea::capi
