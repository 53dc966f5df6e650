// SPDX-License-Identifier: Apache-2.0
// kernels/ref/window.cpp — im2col and its adjoint.
#include "kernels/ref/window.h"

#include <algorithm>

namespace fovea::ref {
namespace {

// Calls run(column, pixel, count, step) for every run of places of one line whose tap lies inside the image.
template <class RunOfPlaces>
void for_each_run(const Window& w, int64_t channels, int64_t from, int64_t to, RunOfPlaces run) {
  int64_t column = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t tap = 0; tap < w.taps(); ++tap) {
      const int64_t kw = tap % w.kernel[2], kh = tap / w.kernel[2] % w.kernel[1], kd = tap / w.kernel[2] / w.kernel[1];
      const int64_t shift = kw * w.dilation[2] - w.pad[2], stride = w.stride[2];   // pixel = place * stride + shift
      const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
      const int64_t end = w.size[2] - shift <= 0 ? 0 : std::min(w.out[2], (w.size[2] - shift - 1) / stride + 1);
      for (int64_t line = from; line < to; ++line, column += w.out[2]) {
        const int64_t d = line / w.out[1] * w.stride[0] - w.pad[0] + kd * w.dilation[0];
        const int64_t h = line % w.out[1] * w.stride[1] - w.pad[1] + kh * w.dilation[1];
        if (d < 0 || d >= w.size[0] || h < 0 || h >= w.size[1] || first >= end) continue;
        const int64_t row = ((c * w.size[0] + d) * w.size[1] + h) * w.size[2];
        run(column + first, row + first * stride + shift, end - first, stride);
      }
    }
}

}  // namespace

Triple triple(const Dims& d, int64_t missing) {
  Triple t{missing, missing, missing};
  for (int i = 0; i < std::min(d.size(), 3); ++i) t[static_cast<size_t>(2 - i)] = d[d.size() - 1 - i];
  return t;
}

void gather_columns(const Window& w, int64_t channels, int64_t from, int64_t to, const double* image, double* columns) {
  std::fill_n(columns, channels * w.taps() * (to - from) * w.out[2], 0.0);
  for_each_run(w, channels, from, to, [&](int64_t column, int64_t pixel, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; ++i) columns[column + i] = image[pixel + i * step];
  });
}

void scatter_columns(const Window& w, int64_t channels, int64_t from, int64_t to, const double* columns,
                     double* image) {
  for_each_run(w, channels, from, to, [&](int64_t column, int64_t pixel, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; ++i) image[pixel + i * step] += columns[column + i];
  });
}

}  // namespace fovea::ref
