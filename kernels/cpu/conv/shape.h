// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/shape.h — the numbers of a convolution, with one and two spatial dimensions written as three.
#pragma once
#include <array>

#include "engine/core/op.h"
#include "engine/ops/attrs.h"

namespace fovea::kernels::cpu {

struct ConvShape {
  using Three = std::array<int64_t, 3>;            // depth, height, width
  int64_t batch, channels, outputs, groups;
  Three in, out, kernel, stride, dilation, pad;    // pad: before the first element
  bool pads;                                       // does any window leave the image?

  ConvShape(const ConvAttrs& a, const Shape& x, const Shape& w, const Shape& y);
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t in_places() const { return in[0] * in[1] * in[2]; }
  int64_t out_places() const { return out[0] * out[1] * out[2]; }
  bool depthwise() const { return groups == channels && outputs == channels && groups > 1; }
  bool pointwise() const { return taps() == 1 && stride == Three{1, 1, 1} && in == out && !pads; }
};

/// f(r, image, place) for r in [0, count): adjacent results, counted through all images from `first` on.
template <class F>
void each_place(const ConvShape& s, int64_t first, int64_t count, const F& f) {
  const int64_t row = first / s.out[2], plane = row / s.out[1];
  ConvShape::Three at{plane % s.out[0], row % s.out[1], first % s.out[2]};
  int64_t image = plane / s.out[0];
  for (int64_t r = 0; r < count; ++r) {
    f(r, image, at);
    if (++at[2] < s.out[2]) continue;
    at[2] = 0;
    if (++at[1] < s.out[1]) continue;
    at[1] = 0;
    if (++at[0] < s.out[0]) continue;
    at[0] = 0;
    ++image;
  }
}

}  // namespace fovea::kernels::cpu
