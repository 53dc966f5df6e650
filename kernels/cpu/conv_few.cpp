// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv_few.cpp — a row of the result at a time. The rows of the image that it needs are copied to L1 with
// zeros around them, so that adjacent results read at a fixed step. An image is taken as it lies: a plane for each
// channel, or one in which every place has all channels.
#include "kernels/cpu/conv_few.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cpu/conv.h"
#include "kernels/cpu/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kMostChannels = 4, kMostKernelRows = 16;
constexpr size_t kMostBytes = 128 << 10;           // of weights: they are read again for each row

class FewConv final : public LastConv {
 public:
  explicit FewConv(const Site& s) : LastConv(s, false) {
    planes_ = lies_as(s.operand(0), Memory::contiguous) ? shape.channels : 1;
    each_ = shape.channels / planes_;
    packing_ = {*set, 1, shape.outputs, shape.kernel[1] * planes_, shape.kernel[2] * each_};
    const int64_t needed = (shape.out[2] - 1) * shape.stride[2] + shape.kernel[2];
    given_ = std::min(shape.in[2], needed - shape.pad[2]) * each_;
    width_ = (needed * each_ + 15) / 16 * 16;
    tiles_ = (shape.out[2] + set->tile_rows - 1) / set->tile_rows;
    reserve_weights();
    name = cat("cpu:few ", set->name);
  }

  static bool possible(const ConvShape& s) {
    const Loops& l = loops();
    return s.groups == 1 && s.channels <= kMostChannels && s.in[0] == 1 && s.kernel[0] == 1 && s.out[0] == 1 &&
           s.dilation == ConvShape::Three{1, 1, 1} && s.kernel[1] <= kMostKernelRows && s.pad[0] == 0 &&
           s.pad[1] >= 0 && s.pad[2] >= 0 && s.pad[2] < s.kernel[2] && s.out[1] >= l.tile_rows &&
           s.out[2] >= l.tile_rows &&
           Packing(l, 1, s.outputs, s.taps(), s.channels).bytes() <= kMostBytes;
  }

  size_t weight_bytes() const override { return packing_.bytes(); }
  void pack_weights(const float* w, float* to) const override {
    // A tap is a row of a plane, its depth what a window has of that row.
    Unpacked u = unpacked(w);
    if (planes_ > 1) {
      u.taps[0] = std::exchange(u.taps[1], u.depth);
      u.sizes[0] = std::exchange(u.sizes[1], planes_);
    }
    pack_columns(packing_, u, to);
  }

  void run_last(const Run& r) const override {
    const int64_t work = shape.out[2] * packing_.group_floats();
    parallel_for(shape.batch * shape.out[1], std::max<int64_t>(1, 100000 / (work + 1)),
                 [&](int64_t first, int64_t last) {
                   ImageRows rows(*this, r.x);
                   for (int64_t i = first; i < last; ++i) one_row(r, i, rows);
                 });
  }

 private:
  // Rows of the image as taps read them. Those that adjacent results share are copied once.
  class ImageRows {
   public:
    ImageRows(const FewConv& p, const float* x) : p_(p), x_(x), step_(p.planes_ * p.width_) {
      const int64_t all = (p.shape.kernel[1] + 1) * step_;
      buffer_ = thread_buffer(static_cast<size_t>(all));
      std::fill_n(buffer_, all, 0.f);
      owner_.fill(-1);
    }

    const float* of(int64_t image, int64_t y) {
      const ConvShape& s = p_.shape;
      if (y < 0 || y >= s.in[1]) return buffer_ + s.kernel[1] * step_;
      const int64_t number = image * s.in[1] + y, slot = y % s.kernel[1];
      float* const to = buffer_ + slot * step_;
      int64_t& owner = owner_[static_cast<size_t>(slot)];
      if (owner == number) return to;
      owner = number;
      const int64_t row = s.in[2] * p_.each_;
      for (int64_t plane = 0; plane < p_.planes_; ++plane)
        std::copy_n(x_ + ((image * p_.planes_ + plane) * s.in[1] + y) * row, p_.given_,
                    to + plane * p_.width_ + s.pad[2] * p_.each_);
      return to;
    }

   private:
    const FewConv& p_;
    const float* x_;
    int64_t step_;                                 // floats of all planes of a row
    float* buffer_;                                // [kernel rows, then one of zeros][planes][width]
    std::array<int64_t, kMostKernelRows> owner_;
  };

  void one_row(const Run& r, int64_t at, ImageRows& rows) const {
    const int64_t image = at / shape.out[1], oy = at % shape.out[1];
    const float* taps[kMostKernelRows * kMostChannels];
    for (int64_t ky = 0, tap = 0; ky < shape.kernel[1]; ++ky) {
      const float* const row = rows.of(image, oy * shape.stride[1] - shape.pad[1] + ky);
      for (int64_t plane = 0; plane < planes_; ++plane) taps[tap++] = row + plane * width_;
    }
    Tile t{.a = taps,
           .a_step = shape.stride[2] * each_,
           .taps = packing_.taps,
           .depth = packing_.depth,
           .y_step = shape.outputs,
           .lo = finish.lo,
           .hi = finish.hi};
    float* const y = r.y + at * shape.out[2] * shape.outputs;
    for (int64_t panel = 0; panel < packing_.panels(); ++panel) {
      const int64_t column = panel * packing_.panel;
      t.b = r.w + panel * packing_.panel_floats();
      t.bias = r.bias ? r.bias + column : nullptr;
      t.columns = panel + 1 == packing_.panels() ? shape.outputs - column : packing_.panel;
      for (int64_t tile = 0; tile < tiles_; ++tile) {
        const int64_t x = shape.out[2] * tile / tiles_;
        t.rows = static_cast<int>(shape.out[2] * (tile + 1) / tiles_ - x);
        t.a_offset = x * t.a_step;
        t.y = y + x * shape.outputs + column;
        set->stepped_tile(t);
      }
    }
    const Epilogue& e = finish.act;
    if (finish.map) set->unary(e.act, e.a, e.b, y, y, shape.out[2] * shape.outputs);
  }

  Packing packing_;
  int64_t planes_, each_;                          // and the channels that each of them has
  int64_t given_, width_, tiles_;                  // of a row: elements of the image, all elements, tiles of results
};

}  // namespace

// Weights that change, as in training, would be packed again in each run.
PlanPtr plan_few(const Site& s) {
  if (!s.is_constant(1)) return nullptr;
  const auto& a = s.attrs<ConvAttrs>();
  const ConvShape shape(a, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  return !a.epilogue.residual && FewConv::possible(shape) ? std::make_shared<FewConv>(s) : nullptr;
}

}  // namespace fovea::kernels::cpu
