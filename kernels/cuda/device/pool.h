// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/pool.h — pooling with windows that slide, or that share an image among the places of a result.
#pragma once
#include "kernels/cuda/device/elements.h"
#include "kernels/cuda/device/window.h"

#include <cmath>

namespace fovea::cuda {

struct PoolParams {
  Places places;                                   // of the result
  Window window;                                   // size: of x; out: of y; pad: before the first
  int64_t pad_hi[3];
  Elements x, y;                                   // strides of N, C, D, H, W
  int64_t* index;                                  // max: the pixel of each y, dense; null: not wanted
  int64_t index_strides[5];
  bool adaptive, count_padding;
  int64_t divisor;                                 // 0: how many pixels
};

struct Stretch {                                   // what a place sees along a dimension
  int64_t first, count, step;
  int64_t padded;                                  // how many taps lie in x or its padding
};

FOVEA_DEVICE Stretch stretch(const PoolParams& p, int d, int64_t place) {
  const Window& w = p.window;
  if (p.adaptive) {
    const int64_t first = place * w.size[d] / w.out[d], end = ((place + 1) * w.size[d] + w.out[d] - 1) / w.out[d];
    return {first, end - first, 1, end - first};
  }
  const int64_t start = place * w.stride[d] - w.pad[d];
  Stretch s{0, 0, w.dilation[d], 0};
  for (int64_t tap = w.kernel[d] - 1; tap >= 0; --tap) {
    const int64_t at = start + tap * w.dilation[d];
    s.padded += at < w.size[d] + p.pad_hi[d];
    if (at < 0 || at >= w.size[d]) continue;
    s.first = at;
    ++s.count;
  }
  return s;
}

FOVEA_DEVICE bool sees(const Stretch& s, int64_t pixel) {
  const int64_t at = pixel - s.first;
  return at >= 0 && at < s.count * s.step && at % s.step == 0;
}

template <class T>
FOVEA_DEVICE T divisor_of(const PoolParams& p, const Stretch* s) {
  if (p.divisor) return static_cast<T>(p.divisor);
  return static_cast<T>(p.count_padding ? s[0].padded * s[1].padded * s[2].padded
                                        : s[0].count * s[1].count * s[2].count);
}

/// visit(offset, pixel) for all that a place sees.
template <class Visit>
FOVEA_DEVICE void each_pixel(const PoolParams& p, const Stretch* s, const Visit& visit) {
  const int64_t *size = p.window.size, *strides = p.x.strides + 2;
  for (int64_t i = 0; i < s[0].count; ++i)
    for (int64_t j = 0; j < s[1].count; ++j)
      for (int64_t k = 0; k < s[2].count; ++k) {
        const int64_t at[3] = {s[0].first + i * s[0].step, s[1].first + j * s[1].step, s[2].first + k * s[2].step};
        visit(at[0] * strides[0] + at[1] * strides[1] + at[2] * strides[2],
              (at[0] * size[1] + at[1]) * size[2] + at[2]);
      }
}

template <class T, class Thread>
FOVEA_DEVICE void max_pool(const Thread& t, const PoolParams& p) {
  share(t, p.places.grid.count, [&](int64_t i) {
    const Place y = place_of(p.places, i);
    const Stretch s[3] = {stretch(p, 0, y.at[2]), stretch(p, 1, y.at[3]), stretch(p, 2, y.at[4])};
    const int64_t image = y.at[0] * p.x.strides[0] + y.at[1] * p.x.strides[1];
    T best = -INFINITY;
    int64_t where = -1;
    each_pixel(p, s, [&](int64_t offset, int64_t pixel) {
      const T v = load<T>(p.x, image + offset);
      if (where >= 0 && !(v > best) && v == v) return;
      best = v, where = pixel;
    });
    store(p.y, y.offset(p.y.strides), best);
    if (p.index) p.index[y.offset(p.index_strides)] = where < 0 ? 0 : where;     // a window of nothing but padding
  });
}

template <class T, class Thread>
FOVEA_DEVICE void avg_pool(const Thread& t, const PoolParams& p) {
  share(t, p.places.grid.count, [&](int64_t i) {
    const Place y = place_of(p.places, i);
    const Stretch s[3] = {stretch(p, 0, y.at[2]), stretch(p, 1, y.at[3]), stretch(p, 2, y.at[4])};
    const int64_t image = y.at[0] * p.x.strides[0] + y.at[1] * p.x.strides[1];
    T sum = 0;
    each_pixel(p, s, [&](int64_t offset, int64_t) { sum += load<T>(p.x, image + offset); });
    const bool any = s[0].count && s[1].count && s[2].count;
    store(p.y, y.offset(p.y.strides), any ? sum / divisor_of<T>(p, s) : T{0});
  });
}

struct Few {                                       // places first to last
  int64_t first, last;
};

/// The places along a dimension that may see a pixel; sees() decides.
FOVEA_DEVICE Few places_around(const PoolParams& p, int d, int64_t pixel) {
  const Window& w = p.window;
  int64_t first, last;
  if (p.adaptive) {
    first = pixel * w.out[d] / w.size[d] - 1;
    last = ((pixel + 1) * w.out[d] - 1) / w.size[d] + 1;
  } else {
    first = (pixel + w.pad[d] - (w.kernel[d] - 1) * w.dilation[d]) / w.stride[d];
    last = (pixel + w.pad[d]) / w.stride[d];
  }
  return {first < 0 ? 0 : first, last < w.out[d] - 1 ? last : w.out[d] - 1};
}

/// The gradient of x, which is the result: what each place that sees a pixel has for it.
template <class T, class Thread>
FOVEA_DEVICE void avg_pool_dx(const Thread& t, const PoolParams& p) {
  share(t, p.places.grid.count, [&](int64_t i) {
    const Place x = place_of(p.places, i);
    const int64_t image = x.at[0] * p.y.strides[0] + x.at[1] * p.y.strides[1];
    const Few d = places_around(p, 0, x.at[2]), h = places_around(p, 1, x.at[3]), w = places_around(p, 2, x.at[4]);
    T sum = 0;
    Stretch s[3];
    for (int64_t a = d.first; a <= d.last; ++a) {
      if (s[0] = stretch(p, 0, a); !sees(s[0], x.at[2])) continue;
      for (int64_t b = h.first; b <= h.last; ++b) {
        if (s[1] = stretch(p, 1, b); !sees(s[1], x.at[3])) continue;
        for (int64_t c = w.first; c <= w.last; ++c) {
          if (s[2] = stretch(p, 2, c); !sees(s[2], x.at[4])) continue;
          const int64_t at = a * p.y.strides[2] + b * p.y.strides[3] + c * p.y.strides[4];
          sum += load<T>(p.y, image + at) / divisor_of<T>(p, s);
        }
      }
    }
    store(p.x, x.offset(p.x.strides), sum);
  });
}

}  // namespace fovea::cuda
