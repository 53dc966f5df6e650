// SPDX-License-Identifier: Apache-2.0
// api/pixels.h — images of a caller, encoded or as pixels in some order, as an Image.
#pragma once
#include "api/fovea.h"
#include "data/decode.h"
#include "data/image.h"

namespace fovea::capi {

/// Throws Error; `name` is what it calls the image.
data::Image read_pixels(const fovea_image& image, const data::DecodeOptions& options, const std::string& name);

}  // namespace fovea::capi
