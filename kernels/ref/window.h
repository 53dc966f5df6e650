// SPDX-License-Identifier: Apache-2.0
// kernels/ref/window.h — a kernel that slides over one to three dimensions, and the columns of what it sees (im2col).
#pragma once
#include <array>

#include "engine/core/types.h"

namespace fovea::ref {

using Triple = std::array<int64_t, 3>;
/// The last up to three of `d`, preceded by `missing` where there are fewer.
Triple triple(const Dims& d, int64_t missing);

/// Always three dimensions; those that an image lacks have size, kernel, stride 1 and padding 0.
struct Window {
  Triple size, out, kernel, stride, dilation, pad;
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t pixels() const { return size[0] * size[1] * size[2]; }
  int64_t places() const { return out[0] * out[1] * out[2]; }
  int64_t lines() const { return out[0] * out[1]; }          // of out[2] places each
};

/// columns [channels, taps, lines to - from, out[2]] of a dense image [channels, size]; zero outside it.
void gather_columns(const Window& w, int64_t channels, int64_t from, int64_t to, const double* image, double* columns);
/// The adjoint: adds the columns to the image.
void scatter_columns(const Window& w, int64_t channels, int64_t from, int64_t to, const double* columns, double* image);

}  // namespace fovea::ref
