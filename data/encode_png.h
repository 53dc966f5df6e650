// SPDX-License-Identifier: Apache-2.0
// data/encode_png.h — pixels to the bytes of a PNG file.
#pragma once
#include <string>

#include "data/image.h"

namespace fovea::data {

/// Grey or RGB, 8 bits a channel; decode() gives the same pixels back.
std::string encode_png(const Image& image);

}  // namespace fovea::data
