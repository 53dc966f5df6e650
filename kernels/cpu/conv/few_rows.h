// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/few_rows.h — convolutions of few channels, a row of the result at a time, in f32 or bf16. The rows
// of the image that it needs are copied to L1 with zeros around them, so that adjacent results read at a fixed step. An
// image is taken as it lies: a plane for each channel, or one in which every place has all channels.
#pragma once
#include <algorithm>
#include <array>
#include <type_traits>

#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

/// How the rows lie in L1.
struct FewLayout {
  static constexpr int64_t kMostChannels = 4, kMostKernelRows = 16;
  int64_t planes, each;                            // and the channels that each of them has
  int64_t given, width, tiles;                     // of a row: elements of the image, all elements, tiles of results

  FewLayout(const ConvShape& s, const Meta& x, const Loops& l) {
    planes = lies_as(x, Memory::contiguous) ? s.channels : 1;
    each = s.channels / planes;
    const int64_t needed = (s.out[2] - 1) * s.stride[2] + s.kernel[2];
    given = std::min(s.in[2], needed - s.pad[2]) * each;
    width = (needed * each + 16) / 16 * 16;        // at least one more: pairs read it
    tiles = (s.out[2] + l.tiles.rows - 1) / l.tiles.rows;
  }
  // A tap is a row of a plane, its depth what a window has of that row.
  int64_t taps(const ConvShape& s) const { return s.kernel[1] * planes; }
  int64_t depth(const ConvShape& s) const { return s.kernel[2] * each; }

  static bool possible(const ConvShape& s) {
    constexpr size_t kMostBytes = 128 << 10;       // of weights: they are read again for each row
    const Loops& l = loops();
    return s.groups == 1 && s.channels <= kMostChannels && s.in[0] == 1 && s.kernel[0] == 1 && s.out[0] == 1 &&
           s.dilation == ConvShape::Three{1, 1, 1} && s.kernel[1] <= kMostKernelRows && s.pad[0] == 0 &&
           s.pad[1] >= 0 && s.pad[2] >= 0 && s.pad[2] < s.kernel[2] && s.out[1] >= l.tiles.rows &&
           s.out[2] >= l.tiles.rows &&
           Packing(l, 1, s.outputs, s.taps(), s.channels).bytes() <= kMostBytes;
  }
};

/// One run.
template <class T>
struct FewRows {
  static constexpr bool kNarrow = !std::is_same_v<T, float>;
  using TileOf = std::conditional_t<kNarrow, Bf16Tile, Tile>;
  using Weight = std::conditional_t<kNarrow, Pair, float>;

  const ConvShape& shape;
  const FewLayout& layout;
  const Packing& packing;
  const Finish& finish;
  const Processor& on;
  void (*tile)(const TileOf& t);
  const T* x;
  const Weight* w;
  const float* bias;                               // may be null
  T* y;

  void run() const {
    const int64_t work = shape.out[2] * packing.group_floats();
    parallel_for(shape.batch * shape.out[1], std::max<int64_t>(1, 100000 / (work + 1)),
                 [&](int64_t first, int64_t last) {
                   ImageRows rows(*this);
                   for (int64_t i = first; i < last; ++i) one_row(i, rows);
                 });
  }

 private:
  // Rows of the image as taps read them. Those that adjacent results share are copied once.
  class ImageRows {
   public:
    explicit ImageRows(const FewRows& p)
        : p_(p), step_(p.layout.planes * p.layout.width), elements_((p.shape.kernel[1] + 1) * step_),
          lent_(static_cast<size_t>(elements_)), buffer_(lent_.data()) {
      std::fill_n(buffer_, elements_, T{});
      owner_.fill(-1);
    }

    const T* of(int64_t image, int64_t y) {
      const ConvShape& s = p_.shape;
      const FewLayout& l = p_.layout;
      if (y < 0 || y >= s.in[1]) return buffer_ + s.kernel[1] * step_;
      const int64_t number = image * s.in[1] + y, slot = y % s.kernel[1];
      T* const to = buffer_ + slot * step_;
      int64_t& owner = owner_[static_cast<size_t>(slot)];
      if (owner == number) return to;
      owner = number;
      const int64_t row = s.in[2] * l.each;
      for (int64_t plane = 0; plane < l.planes; ++plane)
        std::copy_n(p_.x + ((image * l.planes + plane) * s.in[1] + y) * row, l.given,
                    to + plane * l.width + s.pad[2] * l.each);
      return to;
    }

   private:
    const FewRows& p_;
    int64_t step_;                                 // elements of all planes of a row
    int64_t elements_;                             // of the buffer
    ThreadArray<T> lent_;
    T* buffer_;                                    // [kernel rows, then one of zeros][planes][width]
    std::array<int64_t, FewLayout::kMostKernelRows> owner_;
  };

  void one_row(int64_t at, ImageRows& rows) const {
    const int64_t image = at / shape.out[1], oy = at % shape.out[1];
    const T* taps[FewLayout::kMostKernelRows * FewLayout::kMostChannels];
    for (int64_t ky = 0, tap = 0; ky < shape.kernel[1]; ++ky) {
      const T* const row = rows.of(image, oy * shape.stride[1] - shape.pad[1] + ky);
      for (int64_t plane = 0; plane < layout.planes; ++plane) taps[tap++] = row + plane * layout.width;
    }
    TileOf t{};
    t.a = taps;
    t.a_step = shape.stride[2] * layout.each;
    t.taps = packing.taps;
    t.depth = layout.depth(shape);
    t.y_step = shape.outputs;
    t.lo = finish.lo;
    t.hi = finish.hi;
    if constexpr (kNarrow) t.hard_swish = finish.act.act == Unary::hard_swish;
    T* const to = y + at * shape.out[2] * shape.outputs;
    for (int64_t panel = 0; panel < packing.panels(); ++panel) {
      const int64_t column = panel * packing.panel;
      t.b = w + panel * packing.panel_floats();
      t.bias = bias ? bias + column : nullptr;
      t.columns = panel + 1 == packing.panels() ? shape.outputs - column : packing.panel;
      for (int64_t i = 0; i < layout.tiles; ++i) {
        const int64_t place = shape.out[2] * i / layout.tiles;
        t.rows = static_cast<int>(shape.out[2] * (i + 1) / layout.tiles - place);
        t.a_offset = place * t.a_step;
        t.y = to + place * shape.outputs + column;
        one_tile(t);
      }
    }
    const Epilogue& e = finish.act;
    if constexpr (!kNarrow)
      if (finish.map) on.f32->unary(e.act, e.a, e.b, to, to, shape.out[2] * shape.outputs);
  }

  void one_tile(const TileOf& t) const {
    if constexpr (kNarrow) {
      if (finish.map && !t.hard_swish) return map_tile(on, finish.act, t, tile);
    }
    tile(t);
  }
};

}  // namespace fovea::kernels::cpu
