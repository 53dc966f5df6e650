// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/quant_tables.h — where the windows of channels-last u8 images read: pointers for products, and for rows.
#pragma once
#include <vector>

#include "kernels/cpu/conv_shape.h"

namespace fovea::kernels::cpu {

/// Pointers to every tap of adjacent results; what lies outside the image is read from `outside`.
class QuantWindows {
 public:
  /// whole_rows: one pointer for all taps of the innermost dimension, which lie side by side.
  QuantWindows(const ConvShape& s, const uint8_t* x, const uint8_t* outside, bool whole_rows)
      : s_(s), x_(x), outside_(outside), across_(whole_rows ? 1 : s.kernel[2]) {}

  void operator()(int64_t first, int64_t count, const uint8_t** to, int64_t step) const {
    if (s_.pointwise()) {
      for (int64_t r = 0; r < count; ++r) to[r] = x_ + (first + r) * s_.channels;
      return;
    }
    each_place(s_, first, count, [&](int64_t r, int64_t image, const ConvShape::Three& at) {
      one(to + r, step, image, at);
    });
  }

 private:
  void one(const uint8_t** to, int64_t step, int64_t image, const ConvShape::Three& out) const {
    for (int64_t kz = 0; kz < s_.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < s_.kernel[1]; ++ky) {
        const int64_t z = out[0] * s_.stride[0] - s_.pad[0] + kz * s_.dilation[0];
        const int64_t y = out[1] * s_.stride[1] - s_.pad[1] + ky * s_.dilation[1];
        const bool row_inside = z >= 0 && z < s_.in[0] && y >= 0 && y < s_.in[1];
        const int64_t row = ((image * s_.in[0] + z) * s_.in[1] + y) * s_.in[2];
        for (int64_t kx = 0; kx < across_; ++kx, to += step) {
          const int64_t x = out[2] * s_.stride[2] - s_.pad[2] + kx * s_.dilation[2];
          *to = row_inside && x >= 0 && x < s_.in[2] ? x_ + (row + x) * s_.channels : outside_;
        }
      }
  }

  const ConvShape& s_;
  const uint8_t *x_, *outside_;
  int64_t across_;
};

/// For one block of channels: tables of pointers to every column of an image row that some window meets. Consecutive
/// result rows share image rows, so the tables of the last few are kept.
class QuantRowTables {
 public:
  static int64_t columns(const ConvShape& s) {
    return (s.out[2] - 1) * s.stride[2] + (s.kernel[2] - 1) * s.dilation[2] + 1;
  }
  static int64_t slots(const ConvShape& s) { return (s.kernel[1] - 1) * s.dilation[1] + 1; }
  /// How many pointers the caller lends.
  static int64_t needs(const ConvShape& s) { return slots(s) * (1 + columns(s)) + columns(s); }

  QuantRowTables(const ConvShape& s, const uint8_t* outside, const uint8_t** memory)
      : s_(s), outside_(outside), columns_(columns(s)), slots_(slots(s)), owner_(memory), table_(memory + slots_),
        blank_(table_ + slots_ * columns_) {
    for (int64_t i = 0; i < slots_; ++i) owner_[i] = nullptr;
    for (int64_t i = 0; i < columns_; ++i) blank_[i] = outside_;
  }

  /// A row that lies outside the image.
  const uint8_t* const* blank() const { return blank_; }
  /// Image row y, which starts at `row`.
  const uint8_t* const* of(int64_t y, const uint8_t* row) {
    const int64_t slot = y % slots_;
    const uint8_t** t = table_ + slot * columns_;
    if (owner_[slot] == row) return t;
    owner_[slot] = row;
    for (int64_t i = 0; i < columns_; ++i) {
      const int64_t x = i - s_.pad[2];
      t[i] = x >= 0 && x < s_.in[2] ? row + x * s_.channels : outside_;
    }
    return t;
  }

 private:
  const ConvShape& s_;
  const uint8_t* outside_;
  int64_t columns_, slots_;
  const uint8_t **owner_, **table_, **blank_;
};

}  // namespace fovea::kernels::cpu
