// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_windows.h — where the windows of channels-last u8 images read: pointers for products.
#pragma once
#include <vector>

#include "kernels/cpu/conv/shape.h"

namespace fovea::kernels::cpu {

/// Pointers to every tap of adjacent results; what lies outside the image is read from `outside`.
class QuantWindows {
 public:
  /// whole_rows: one pointer for all taps of the innermost dimension, which lie side by side.
  QuantWindows(const ConvShape& s, const uint8_t* x, const uint8_t* outside, bool whole_rows)
      : s_(s), x_(x), outside_(outside), across_(whole_rows ? 1 : s.kernel[2]) {}

  void operator()(int64_t first, int64_t count, const uint8_t** to, int64_t step) const {
    if (s_.pointwise()) {
      for (int64_t r = 0; r < count; ++r) to[r] = x_ + (first + r) * s_.channels;
      return;
    }
    each_place(s_, first, count, [&](int64_t r, int64_t image, const ConvShape::Three& at) {
      one(to + r, step, image, at);
    });
  }

 private:
  void one(const uint8_t** to, int64_t step, int64_t image, const ConvShape::Three& out) const {
    for (int64_t kz = 0; kz < s_.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < s_.kernel[1]; ++ky) {
        const int64_t z = out[0] * s_.stride[0] - s_.pad[0] + kz * s_.dilation[0];
        const int64_t y = out[1] * s_.stride[1] - s_.pad[1] + ky * s_.dilation[1];
        const bool row_inside = z >= 0 && z < s_.in[0] && y >= 0 && y < s_.in[1];
        const int64_t row = ((image * s_.in[0] + z) * s_.in[1] + y) * s_.in[2];
        for (int64_t kx = 0; kx < across_; ++kx, to += step) {
          const int64_t x = out[2] * s_.stride[2] - s_.pad[2] + kx * s_.dilation[2];
          *to = row_inside && x >= 0 && x < s_.in[2] ? x_ + (row + x) * s_.channels : outside_;
        }
      }
  }

  const ConvShape& s_;
  const uint8_t *x_, *outside_;
  int64_t across_;
};

}  // namespace fovea::kernels::cpu
