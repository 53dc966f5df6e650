// SPDX-License-Identifier: Apache-2.0
#include "data/codecs.h"

#include "data/codec.h"

namespace fovea::data {

std::vector<Codec> codecs() {
  std::vector<Codec> all;
#if FOVEA_IMAGES
  all.push_back({"libjpeg", jpeg_version()});
  all.push_back({"zlib", png_version()});
  all.push_back({"libwebp", webp_version()});
#endif
#if FOVEA_GIF
  all.push_back({"giflib", gif_version()});
#endif
#if FOVEA_TIFF
  all.push_back({"libtiff", tiff_version()});
#endif
  return all;
}

}  // namespace fovea::data
