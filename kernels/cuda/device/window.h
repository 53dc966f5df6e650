// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/window.h — images of one to three dimensions, in any layout, and what slides over them.
#pragma once
#include "kernels/cuda/device/vocabulary.h"

namespace fovea::cuda {

/// Places of an image [N, C, D, H, W]; missing dimensions have size 1. They are counted in the order in which the image
/// lies in memory: `order` says which of the five each dimension of the grid is.
struct Places {
  Grid grid;
  int32_t order[5];
};

struct Place {
  int64_t at[5];
  FOVEA_DEVICE int64_t offset(const int64_t* strides) const {
    int64_t all = 0;
    for (int d = 0; d < 5; ++d) all += at[d] * strides[d];
    return all;
  }
};

FOVEA_DEVICE Place place_of(const Places& p, int64_t i) {
  Place place;
  unravel(p.grid, i, [&](int d, int64_t at) { place.at[p.order[d]] = at; });
  return place;
}

struct Window {                                    // depth, height, width
  int64_t size[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
};

/// visit(tap, offset) for the taps of a place that lie inside an image; the offset is in elements of it.
template <class Visit>
FOVEA_DEVICE void each_tap(const Window& w, const int64_t* place, const int64_t* strides, const Visit& visit) {
  int64_t first[3];
  for (int d = 0; d < 3; ++d) first[d] = place[d] * w.stride[d] - w.pad[d];
  for (int64_t i = 0; i < w.kernel[0]; ++i) {
    const int64_t depth = first[0] + i * w.dilation[0];
    if (depth < 0 || depth >= w.size[0]) continue;
    for (int64_t j = 0; j < w.kernel[1]; ++j) {
      const int64_t row = first[1] + j * w.dilation[1];
      if (row < 0 || row >= w.size[1]) continue;
      for (int64_t k = 0; k < w.kernel[2]; ++k) {
        const int64_t column = first[2] + k * w.dilation[2];
        if (column < 0 || column >= w.size[2]) continue;
        const int64_t tap[3] = {i, j, k};
        visit(tap, depth * strides[0] + row * strides[1] + column * strides[2]);
      }
    }
  }
}

/// The adjoint: visit(tap, offset) for the places whose taps meet a pixel; the offset is in elements of their array.
template <class Visit>
FOVEA_DEVICE void each_meeting(const Window& w, const int64_t* pixel, const int64_t* strides, const Visit& visit) {
  const auto place_along = [&](int d, int64_t tap) {         // -1: none
    const int64_t at = pixel[d] + w.pad[d] - tap * w.dilation[d];
    if (at < 0 || at % w.stride[d] != 0) return int64_t{-1};
    return at / w.stride[d] < w.out[d] ? at / w.stride[d] : int64_t{-1};
  };
  for (int64_t i = 0; i < w.kernel[0]; ++i) {
    const int64_t depth = place_along(0, i);
    if (depth < 0) continue;
    for (int64_t j = 0; j < w.kernel[1]; ++j) {
      const int64_t row = place_along(1, j);
      if (row < 0) continue;
      for (int64_t k = 0; k < w.kernel[2]; ++k) {
        const int64_t column = place_along(2, k);
        if (column < 0) continue;
        const int64_t tap[3] = {i, j, k};
        visit(tap, depth * strides[0] + row * strides[1] + column * strides[2]);
      }
    }
  }
}

}  // namespace fovea::cuda
