// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/depthwise.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/conv.h"
#include "kernels/cpu/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kChunk = 128;                    // channels at once: a few image rows of them stay in L1

// Pointers to every column of the image rows that a window needs, zeros where the window leaves the image. Consecutive
// result rows share image rows, so the tables of the last few are kept.
class RowTables {
 public:
  RowTables(const ConvShape& s, const float* zeros)
      : s_(s), zeros_(zeros), columns_((s.out[2] - 1) * s.stride[2] + (s.kernel[2] - 1) * s.dilation[2] + 1),
        slots_((s.kernel[1] - 1) * s.dilation[1] + 1) {
    owner_ = thread_pointers(static_cast<size_t>(slots_ * (1 + columns_)));
    table_ = owner_ + slots_;
    std::fill_n(owner_, slots_, nullptr);
  }
  int64_t columns() const { return columns_; }

  /// The table of image row y, which starts at `row`.
  const float* const* of(int64_t y, const float* row) {
    const auto slot = static_cast<size_t>(y % slots_);
    const float** t = table_ + static_cast<int64_t>(slot) * columns_;
    if (owner_[slot] == row) return t;
    owner_[slot] = row;
    for (int64_t i = 0; i < columns_; ++i) {
      const int64_t x = i - s_.pad[2];
      t[i] = x >= 0 && x < s_.in[2] ? row + x * s_.channels : zeros_;
    }
    return t;
  }

 private:
  const ConvShape& s_;
  const float* zeros_;
  int64_t columns_, slots_;
  const float **owner_, **table_;
};

class DepthwiseConv final : public LastConv {
 public:
  explicit DepthwiseConv(const Site& s) : LastConv(s) {
    w_step_ = (shape.channels + set->lanes - 1) / set->lanes * set->lanes;
    zeros_.assign(static_cast<size_t>(std::min(kChunk, shape.channels)), 0.f);
    reserve_weights();
    name = cat("cpu:depthwise ", set->name);
  }

  size_t weight_bytes() const override { return static_cast<size_t>(shape.taps() * w_step_) * sizeof(float); }
  void pack_weights(const float* w, float* to) const override {
    const Unpacked u = unpacked(w);
    std::fill_n(to, shape.taps() * w_step_, 0.f);
    for (int64_t y = 0; y < shape.kernel[1]; ++y)
      for (int64_t x = 0; x < shape.kernel[2]; ++x, to += w_step_)
        for (int64_t c = 0; c < shape.channels; ++c) to[c] = w[c * u.column + y * u.taps[1] + x * u.taps[2]];
  }

  void run_last(const Run& r) const override {
    const int64_t chunks = (shape.channels + kChunk - 1) / kChunk, items = shape.batch * chunks * shape.out[1];
    const int64_t work = std::min(kChunk, shape.channels) * shape.out[2] * shape.taps();
    parallel_for(items, std::max<int64_t>(1, 100000 / (work + 1)), [&](int64_t first, int64_t last) {
      RowTables tables(shape, zeros_.data());
      for (int64_t i = first; i < last; ++i)
        one_row(r, i / shape.out[1] / chunks, i / shape.out[1] % chunks * kChunk, i % shape.out[1], tables);
    });
  }

 private:
  void one_row(const Run& r, int64_t image, int64_t channel, int64_t oy, RowTables& tables) const {
    const int64_t channels = std::min(kChunk, shape.channels - channel);
    const auto kernel = static_cast<int>(shape.kernel[1]);
    constexpr int kMostRows = 64;
    const float* const* rows[kMostRows];
    DepthwiseTile t{.w = r.w + channel,
                    .w_step = w_step_,
                    .bias = r.bias ? r.bias + channel : nullptr,
                    .y_step = shape.outputs,
                    .channels = channels,
                    .kernel = static_cast<int>(shape.kernel[2]),
                    .stride = static_cast<int>(shape.stride[2]),
                    .dilation = static_cast<int>(shape.dilation[2]),
                    .first_row = kernel,
                    .last_row = 0,
                    .lo = finish.lo,
                    .hi = finish.hi};
    for (int k = 0; k < kernel; ++k) {
      const int64_t y = oy * shape.stride[1] - shape.pad[1] + k * shape.dilation[1];
      if (y < 0 || y >= shape.in[1]) continue;
      rows[k] = tables.of(y, r.x + ((image * shape.in[1] + y) * shape.in[2]) * shape.channels + channel);
      t.first_row = std::min(t.first_row, k);
      t.last_row = k + 1;
    }
    float* y = r.y + (image * shape.out[1] + oy) * shape.out[2] * shape.outputs + channel;
    const float* residual = r.residual ? r.residual + (y - r.y) : nullptr;
    for (int64_t ox = 0; ox < shape.out[2];) {
      t.pixels = set->depthwise_pixels(t, shape.out[2] - ox);
      t.x = rows;
      t.x_at = ox * shape.stride[2];
      t.y = y + ox * shape.outputs;
      t.residual = residual ? residual + ox * shape.outputs : nullptr;
      set->depthwise(t);
      if (finish.map) map(t);
      ox += t.pixels;
    }
  }

  void map(const DepthwiseTile& t) const {
    const Epilogue& e = finish.act;
    if (t.channels == t.y_step) return set->unary(e.act, e.a, e.b, t.y, t.y, t.pixels * t.channels);
    for (int p = 0; p < t.pixels; ++p) set->unary(e.act, e.a, e.b, t.y + p * t.y_step, t.y + p * t.y_step, t.channels);
  }

  int64_t w_step_;
  std::vector<float> zeros_;
};

}  // namespace

PlanPtr plan_depthwise(const Site& s) {
  const ConvShape shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape);
  if (!shape.depthwise() || shape.kernel[0] != 1 || shape.in[0] != 1 || shape.out[0] != 1 || shape.kernel[1] > 64)
    return nullptr;
  return std::make_shared<DepthwiseConv>(s);
}

}  // namespace fovea::kernels::cpu
