// SPDX-License-Identifier: Apache-2.0
// data/lookup.h — colours by tables of 256 values, with the bytes of Pillow's ImageOps.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "data/image.h"

namespace fovea::data {

using Table = std::array<uint8_t, 256>;
/// Each value by the table, in all channels or in its own: `tables` are 1 or as many as channels.
Image looked_up(Image image, std::span<const Table> tables);

/// Each channel stretched to 0 ... 255 (ImageOps.autocontrast).
Image auto_contrasted(Image image);
/// Each channel's values spread evenly (ImageOps.equalize).
Image equalized(Image image);
Image inverted(Image image);
/// The upper bits alone; none is black, 8 or more is the image.
Image posterized(Image image, int bits);
/// Values from the threshold on are inverted.
Image solarized(Image image, int threshold);
/// Values below the threshold grow, up to 255 (timm's solarize_add).
Image solarize_added(Image image, int add, int threshold = 128);

}  // namespace fovea::data
