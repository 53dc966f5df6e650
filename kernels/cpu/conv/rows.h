// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/rows.h — convolutions as products: which elements of a channels-last image make up a row of A.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// How many taps a row has, and how many adjacent elements each of them gives.
struct ConvRows {
  ConvShape inner;                                 // of the surrounded image
  bool merges = false;                             // the windows' innermost dimension belongs to the depth
  bool surrounds = false;                          // windows are read from a copy with zeros around it
  bool needs_zeros = false;                        // or a row of zeros stands for what is outside
  int64_t taps, depth;
  std::vector<int64_t> offsets;                    // of each tap from the first one, in elements

  explicit ConvRows(const ConvShape& s);
  int64_t surrounded_elements() const { return inner.batch * inner.in_places() * inner.channels; }
};

/// Where each tap of each result reads, in a channels-last image; a row of zeros stands for places outside it.
template <class T>
class Windows {
 public:
  Windows(const ConvRows& rows, const T* x, const T* zeros)
      : rows_(rows), s_(rows.inner), x_(x), zeros_(zeros), across_(rows.merges ? 1 : rows.inner.kernel[2]) {}

  void operator()(int64_t first, int64_t count, const T** to, int64_t step) const {
    if (s_.pointwise()) {
      for (int64_t r = 0; r < count; ++r) to[r] = x_ + (first + r) * s_.channels;
      return;
    }
    each_place(s_, first, count, [&](int64_t r, int64_t image, const ConvShape::Three& at) {
      one(to + r, step, image, at);
    });
  }

 private:
  void one(const T** to, int64_t step, int64_t image, const ConvShape::Three& out) const {
    ConvShape::Three from;
    bool inside = true;
    for (size_t i = 0; i < 3; ++i) {
      from[i] = out[i] * s_.stride[i] - s_.pad[i];
      inside = inside && from[i] >= 0 && from[i] + (s_.kernel[i] - 1) * s_.dilation[i] < s_.in[i];
    }
    const T* const base =
        x_ + (((image * s_.in[0] + from[0]) * s_.in[1] + from[1]) * s_.in[2] + from[2]) * s_.channels;
    if (inside) {
      for (const int64_t offset : rows_.offsets) {
        *to = base + offset;
        to += step;
      }
      return;
    }
    const int64_t* offset = rows_.offsets.data();
    for (int64_t kz = 0; kz < s_.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < s_.kernel[1]; ++ky) {
        const int64_t z = from[0] + kz * s_.dilation[0], y = from[1] + ky * s_.dilation[1];
        const bool row_inside = z >= 0 && z < s_.in[0] && y >= 0 && y < s_.in[1];
        for (int64_t kx = 0; kx < across_; ++kx, to += step, ++offset) {
          const int64_t x = from[2] + kx * s_.dilation[2];
          *to = row_inside && x >= 0 && x < s_.in[2] ? base + *offset : zeros_;
        }
      }
  }

  const ConvRows& rows_;
  const ConvShape& s_;
  const T *x_, *zeros_;
  int64_t across_;
};

/// Copies images into larger ones with zeros around them, so that a whole row of a window is adjacent.
template <class T>
void surround(const ConvShape& from, const ConvShape& to, const T* x, T* y) {
  const int64_t row = from.in[2] * from.channels, left = from.pad[2] * from.channels, whole = to.in[2] * from.channels;
  const int64_t right = whole - left - row;
  parallel_for(from.batch * to.in[0] * to.in[1], 16384 / (whole + 1) + 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t v = i % to.in[1] - from.pad[1], z = i / to.in[1] % to.in[0] - from.pad[0],
                    image = i / (to.in[1] * to.in[0]);
      T* line = y + i * whole;
      if (v < 0 || v >= from.in[1] || z < 0 || z >= from.in[0]) {
        std::fill(line, line + whole, T{});
        continue;
      }
      std::fill(line, line + left, T{});
      std::copy_n(x + ((image * from.in[0] + z) * from.in[1] + v) * row, row, line + left);
      std::fill(line + left + row, line + left + row + right, T{});
    }
  });
}

}  // namespace fovea::kernels::cpu
