// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/depthwise_weights.h"

#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/transpose.h"
#include "kernels/cpu/conv/pieces.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kChannels = 64;                  // at a time: their part of a row stays in a near cache for all taps

// Channels-last images inside; others are turned over first. Each piece has sums [taps][channels] of its own, which are
// added in order.
class DepthwiseDw final : public Plan {
 public:
  explicit DepthwiseDw(const Site& s)
      : set_(&loops()),
        shape_(s.attrs<ConvAttrs>(), s.operand(1).shape, s.result().shape, s.operand(0).shape),
        turns_gy_(!lies_as(s.operand(0), Memory::channels_last)),
        turns_x_(!lies_as(s.operand(1), Memory::channels_last)) {
    if (turns_gy_) gy_at_ = lend(s.operand(0).bytes());
    if (turns_x_) x_at_ = lend(s.operand(1).bytes());
    Meta gy = s.operand(0), x = s.operand(1);
    for (Meta* m : {&gy, &x}) m->strides = strides_for(m->shape, Memory::channels_last);
    pieces_ = weight_pieces(s.attrs<ConvAttrs>(), gy, x, s.result());
    sums_at_ = lend(static_cast<int64_t>(pieces_.size()) * sums() * static_cast<int64_t>(sizeof(float)));
    name = str_cat("cpu:depthwise ", set_->name);
  }

  void run(const Args& a, Stream&) const override {
    const float *gy = floats(a.in[0]), *x = floats(a.in[1]);
    if (turns_gy_) gy = turned(gy, shape_.out_places(), floats(a.scratch + gy_at_));
    if (turns_x_) x = turned(x, shape_.in_places(), floats(a.scratch + x_at_));
    float* const all = floats(a.scratch + sums_at_);
    const int64_t chunks = (shape_.channels + kChannels - 1) / kChannels;
    const auto pieces = static_cast<int64_t>(pieces_.size());
    parallel_for(pieces * chunks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        add_piece(pieces_[static_cast<size_t>(i / chunks)], i % chunks * kChannels, gy, x, all + i / chunks * sums());
    });
    for (int64_t i = 1; i < pieces; ++i) set_->binary(Binary::add, all, 1, all + i * sums(), 1, all, sums());
    to_contiguous(1, shape_.channels, shape_.taps(), all, floats(a.out[0]));
  }

 private:
  size_t lend(int64_t bytes) {
    const size_t at = scratch;
    scratch += aligned(static_cast<size_t>(bytes));
    return at;
  }
  int64_t sums() const { return shape_.taps() * shape_.channels; }
  const float* turned(const float* from, int64_t places, float* to) const {
    to_channels_last(shape_.batch, shape_.channels, places, from, to);
    return to;
  }

  void add_piece(const WeightPiece& p, int64_t channel, const float* gy, const float* x, float* sums) const {
    const int64_t n = std::min(kChannels, shape_.channels - channel), taps = shape_.taps();
    for (int64_t t = 0; t < taps; ++t) std::fill_n(sums + t * shape_.channels + channel, n, 0.f);
    const bool flat = shape_.out[1] == 1 && shape_.in[1] == 1;   // one dimension: its pieces know no rows
    const int64_t first = flat ? 0 : p.gy_row, last = flat ? 1 : p.gy_row + p.gy_rows;
    for (int64_t image = p.image; image < p.image + p.images; ++image)
      for (int64_t row = first; row < last; ++row)
        add_row(image, row, channel, n, gy, x, sums + channel);
  }

  // A row of gy meets a row of x for each row of the kernel; along both, places of one tap are evenly spaced.
  void add_row(int64_t image, int64_t row, int64_t channel, int64_t n, const float* gy, const float* x,
               float* sums) const {
    const ConvShape& s = shape_;
    const int64_t c = s.channels;
    const float* g = gy + (image * s.out[1] + row) * s.out[2] * c + channel;
    for (int64_t ky = 0; ky < s.kernel[1]; ++ky) {
      const int64_t y = row * s.stride[1] - s.pad[1] + ky * s.dilation[1];
      if (y < 0 || y >= s.in[1]) continue;
      const float* line = x + (image * s.in[1] + y) * s.in[2] * c + channel;
      for (int64_t kx = 0; kx < s.kernel[2]; ++kx) {
        const int64_t shift = kx * s.dilation[2] - s.pad[2], stride = s.stride[2];
        const int64_t from = shift < 0 ? (stride - 1 - shift) / stride : 0,
                      end = s.in[2] > shift ? std::min(s.out[2], (s.in[2] - shift - 1) / stride + 1) : 0;
        if (from < end)
          set_->products_of_rows(g + from * c, c, line + (from * stride + shift) * c, stride * c, end - from,
                                 sums + (ky * s.kernel[2] + kx) * c, n);
      }
    }
  }

  const Loops* set_;
  ConvShape shape_;
  bool turns_gy_, turns_x_;
  size_t gy_at_ = 0, x_at_ = 0, sums_at_ = 0;
  std::vector<WeightPiece> pieces_;
};

}  // namespace

PlanPtr plan_depthwise_dw(const Site& s) {
  const Meta &gy = s.operand(0), &x = s.operand(1), &gw = s.result();
  const auto known = [](const Meta& m) { return lies_as(m, Memory::contiguous) || lies_as(m, Memory::channels_last); };
  if (!all_f32(s) || x.rank() > 4 || !known(gy) || !known(x) || !lies_as(gw, Memory::contiguous)) return nullptr;
  const int64_t channels = x.shape[1];
  if (s.attrs<ConvAttrs>().groups != channels || gy.shape[1] != channels || gy.numel() == 0) return nullptr;
  return std::make_shared<DepthwiseDw>(s);
}

}  // namespace fovea::kernels::cpu
