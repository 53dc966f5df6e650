// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/conv.h — convolutions and their gradients one result a thread: for depthwise and grouped ones.
#pragma once
#include "kernels/cuda/device/block.h"
#include "kernels/cuda/device/functions.h"
#include "kernels/cuda/device/window.h"

namespace fovea::cuda {

struct ConvParams {
  Places places;                                   // of y (conv), x (conv_dx) or w (conv_dw)
  Window window;                                   // size: of x; out: of y
  Elements x, w, y;                                // strides of N, C, D, H, W; w: outputs, channels, taps
  Elements bias, residual;                         // absent ones have no address
  int64_t batch, channels, outputs;                // channels and outputs of one group
  Unary act;
  float a, b;
};

/// act(sum of w x + bias + residual).
template <class T, class Thread>
FOVEA_DEVICE void conv(const Thread& t, const ConvParams& p) {
  share(t, p.places.grid.count, [&](int64_t i) {
    const Place y = place_of(p.places, i);
    const int64_t output = y.at[1], first = output / p.outputs * p.channels;
    T sum = p.bias.data ? load<T>(p.bias, output * p.bias.strides[0]) : T{0};
    for (int64_t c = 0; c < p.channels; ++c) {
      const int64_t image = y.at[0] * p.x.strides[0] + (first + c) * p.x.strides[1];
      const int64_t filter = output * p.w.strides[0] + c * p.w.strides[1];
      each_tap(p.window, y.at + 2, p.x.strides + 2, [&](const int64_t* tap, int64_t pixel) {
        const int64_t at = filter + tap[0] * p.w.strides[2] + tap[1] * p.w.strides[3] + tap[2] * p.w.strides[4];
        sum += load<T>(p.w, at) * load<T>(p.x, image + pixel);
      });
    }
    if (p.residual.data) sum += load<T>(p.residual, y.offset(p.residual.strides));
    store(p.y, y.offset(p.y.strides), apply(p.act, static_cast<T>(p.a), static_cast<T>(p.b), sum));
  });
}

/// The gradient of x, which a transposed convolution is, too: x is the result, y the operand.
template <class T, class Thread>
FOVEA_DEVICE void conv_dx(const Thread& t, const ConvParams& p) {
  share(t, p.places.grid.count, [&](int64_t i) {
    const Place x = place_of(p.places, i);
    const int64_t group = x.at[1] / p.channels, c = x.at[1] % p.channels;
    T sum = 0;
    for (int64_t o = group * p.outputs; o < (group + 1) * p.outputs; ++o) {
      const int64_t image = x.at[0] * p.y.strides[0] + o * p.y.strides[1];
      const int64_t filter = o * p.w.strides[0] + c * p.w.strides[1];
      each_meeting(p.window, x.at + 2, p.y.strides + 2, [&](const int64_t* tap, int64_t place) {
        const int64_t at = filter + tap[0] * p.w.strides[2] + tap[1] * p.w.strides[3] + tap[2] * p.w.strides[4];
        sum += load<T>(p.w, at) * load<T>(p.y, image + place);
      });
    }
    store(p.x, x.offset(p.x.strides), sum);
  });
}

/// The gradient of w: a block for each weight, which adds up over all places of all images.
template <class T, class Thread>
FOVEA_DEVICE void conv_dw(const Thread& t, const ConvParams& p) {
  const Window& n = p.window;
  const int64_t area = n.out[1] * n.out[2], places = n.out[0] * area;
  for (int64_t i = t.block(); i < p.places.grid.count; i += t.blocks()) {
    const Place w = place_of(p.places, i);
    const int64_t output = w.at[0], channel = output / p.outputs * p.channels + w.at[1];
    T sum = 0;
    along_row(t, p.batch * places, [&](int64_t k) {
      const int64_t image = k / places, place = k % places;
      const int64_t at[3] = {place / area, place % area / n.out[2], place % n.out[2]};
      int64_t x = image * p.x.strides[0] + channel * p.x.strides[1];
      int64_t y = image * p.y.strides[0] + output * p.y.strides[1];
      bool inside = true;
      for (int d = 0; d < 3; ++d) {
        const int64_t pixel = at[d] * n.stride[d] - n.pad[d] + w.at[d + 2] * n.dilation[d];
        inside = inside && pixel >= 0 && pixel < n.size[d];
        x += pixel * p.x.strides[d + 2], y += at[d] * p.y.strides[d + 2];
      }
      if (inside) sum += load<T>(p.x, x) * load<T>(p.y, y);
    });
    sum = sum_of(t, sum, t.template shared<T>());
    if (t.thread() == 0) store(p.w, w.offset(p.w.strides), sum);
  }
}

}  // namespace fovea::cuda
