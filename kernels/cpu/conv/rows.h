// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/rows.h — convolutions as products: which elements of a channels-last image make up a row of A.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// The shape of the same convolution of an image that already has the zeros around it.
ConvShape surrounded(const ConvShape& s);

/// How many taps a row has, and how many adjacent elements each of them gives.
struct ConvRows {
  ConvShape inner;                                 // of the surrounded image
  bool merges = false;                             // the windows' innermost dimension belongs to the depth
  bool surrounds = false;                          // windows are read from a copy with zeros around it
  bool needs_zeros = false;                        // or a row of zeros stands for what is outside
  int64_t taps, depth;
  std::vector<int64_t> offsets;                    // of each tap from the first one, in elements

  /// Of f32 and bf16: images of few channels are surrounded with zeros.
  explicit ConvRows(const ConvShape& s);
  /// Of an image as it lies; merges: windows do not leave it.
  ConvRows(const ConvShape& inner, bool merges);
  int64_t surrounded_elements() const { return inner.batch * inner.in_places() * inner.channels; }
};

/// Where each tap of each result reads, in a channels-last image; `zeros`, a row of what counts as zero, is read
/// outside of it.
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

/// Copies images into larger ones with zeros around them, so that a whole row of a window is adjacent. Larger ones may
/// have more channels, which are zeros, too.
template <class T>
void surround(const ConvShape& from, const ConvShape& to, const T* x, T* y, T zero = {}) {
  const int64_t row = from.in[2] * from.channels, left = from.pad[2] * to.channels, whole = to.in[2] * to.channels;
  // copied at once: a row, or a place of it where the larger image has more channels
  const int64_t place = from.channels == to.channels ? row : from.channels, places = place ? row / place : 0;
  const int64_t grain = 65536 / (whole * static_cast<int64_t>(sizeof(T)) + 1) + 1;
  parallel_for(from.batch * to.in[0] * to.in[1], grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t v = i % to.in[1] - from.pad[1], z = i / to.in[1] % to.in[0] - from.pad[0],
                    image = i / (to.in[1] * to.in[0]);
      T* const line = y + i * whole;
      const bool inside = v >= 0 && v < from.in[1] && z >= 0 && z < from.in[0];
      if (!inside || places > 1) std::fill_n(line, whole, zero);
      if (!inside) continue;
      if (places <= 1) {
        std::fill_n(line, left, zero);
        std::fill(line + left + row, line + whole, zero);
      }
      const T* const given = x + ((image * from.in[0] + z) * from.in[1] + v) * row;
      for (int64_t p = 0; p < places; ++p) std::copy_n(given + p * place, place, line + left + p * to.channels);
    }
  });
}

}  // namespace fovea::kernels::cpu
