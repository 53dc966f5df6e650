// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/shape.h"

namespace fovea::kernels::cpu {
namespace {

ConvShape::Three three(const int64_t* last, int count, int64_t fill) {
  ConvShape::Three t{fill, fill, fill};
  for (int i = 0; i < count; ++i) t[static_cast<size_t>(3 - count + i)] = last[i];
  return t;
}

}  // namespace

ConvShape::ConvShape(const ConvAttrs& a, const Shape& x, const Shape& w, const Shape& y)
    : batch(x[0]), channels(x[1]), outputs(y[1]), groups(a.groups) {
  const int n = x.size() - 2;
  in = three(x.begin() + 2, n, 1);
  out = three(y.begin() + 2, n, 1);
  kernel = three(w.begin() + 2, n, 1);
  stride = three(a.stride.begin(), n, 1);
  dilation = three(a.dilation.begin(), n, 1);
  pad = three(a.pad_lo.begin(), n, 0);
  pads = false;
  for (size_t i = 0; i < 3; ++i)
    pads = pads || pad[i] != 0 || (out[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] - pad[i] >= in[i];
}

}  // namespace fovea::kernels::cpu
