// SPDX-License-Identifier: Apache-2.0
// nn/layers/conv_transpose.cpp — its parameters, and the convolution that it amounts to.
#include "nn/layers/conv_transpose.h"

#include "engine/ops/ops.h"
#include "nn/layers/conv_attrs.h"

namespace fovea {

ConvTranspose2d::ConvTranspose2d(int in, int out, int kernel, const ConvTranspose2dOptions& o) : options_(o) {
  want_groups(in, out, o.groups);
  const int fan_in = out / o.groups * kernel * kernel;  // as PyTorch counts
  weight = param("weight", {in, out / o.groups, kernel, kernel}, init::torch_default(fan_in));
  if (o.bias) bias = param("bias", {out}, init::torch_default(fan_in));
}

// The pixels of a stride read the same neighbours: a plain convolution gives them side by side, as channels.
Tensor ConvTranspose2d::forward(const Tensor& x) {
  const int64_t s = options_.stride, p = options_.padding, g = options_.groups, kernel = weight->dim(2);
  const int64_t in = weight->dim(0) / g, out = weight->dim(1), taps = kernel / s;
  if (kernel % s != 0 || (s == 1 && p >= kernel))
    return conv_transpose(x, weight, bias, {.stride = {s}, .pad = {p}, .groups = g});
  const Tensor parts = flip(reshape(weight, {g, in, out, taps, s, taps, s}), {3, 5});
  const Tensor w = reshape(permute(parts, {0, 2, 4, 6, 1, 3, 5}), {g * out * s * s, in, taps, taps});
  if (s == 1) return conv(x, w, bias, {.pad = {kernel - 1 - p}, .groups = g});
  const Tensor y = conv(x, w, bias ? repeat_interleave(bias, s * s, 0) : Tensor(), {.pad = {taps - 1}, .groups = g});
  const Tensor map = pixel_shuffle(y, s);
  return slice(slice(map, 2, p, map.dim(2) - p), 3, p, map.dim(3) - p);
}

}  // namespace fovea
