// SPDX-License-Identifier: Apache-2.0
#include "onnx/proto.h"

#include <bit>

namespace fovea::onnx {

void Message::real(int field, float v) {
  key(field, 5);
  const auto bits = std::bit_cast<uint32_t>(v);
  for (int shift = 0; shift < 32; shift += 8) text_ += static_cast<char>(bits >> shift & 0xFF);
}

}  // namespace fovea::onnx
