// SPDX-License-Identifier: Apache-2.0
// data/webp.cpp — WebP through libwebp's animation decoder, which also takes still images: the first frame.
#include <cstring>
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "data/codec.h"
#include "engine/core/text.h"

namespace fovea::data {

Image decode_webp(const Source& source) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(source.data(), source.bytes.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) source.truncated(Format::webp);
  if (status != VP8_STATUS_OK) source.broken(Format::webp, "the header makes no sense");
  Image image = source.canvas(features.width, features.height);

  const WebPData bytes{source.data(), source.bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(WebPAnimDecoderNew(&bytes, nullptr),
                                                                                   WebPAnimDecoderDelete);
  WebPAnimInfo info;
  uint8_t* pixels = nullptr;
  int milliseconds = 0;
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info))
    source.broken(Format::webp, "a part is missing or damaged");
  if (info.canvas_width != static_cast<uint32_t>(image.width) ||
      info.canvas_height != static_cast<uint32_t>(image.height))
    source.broken(Format::webp, "its headers disagree about the size");
  if (!WebPAnimDecoderGetNext(decoder.get(), &pixels, &milliseconds))
    source.broken(Format::webp, "the first frame cannot be decoded");
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  for (size_t i = 0; i < count; ++i) std::memcpy(image.pixels.data() + 3 * i, pixels + 4 * i, 3);
  return image;
}

std::string webp_version() {
  const int v = WebPGetDemuxVersion();
  return cat(v >> 16, ".", v >> 8 & 0xFF, ".", v & 0xFF);
}

}  // namespace fovea::data
