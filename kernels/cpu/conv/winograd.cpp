// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/winograd.cpp — dense 3x3 convolutions with a quarter of the products:
// https://arxiv.org/abs/1509.09308.
#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/winograd_tiles.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kSide = WinogradTiles::kSide, kPoints = WinogradTiles::kPoints;

class WinogradConv final : public ChannelsLastConv<float> {
 public:
  explicit WinogradConv(const Site& s)
      : ChannelsLastConv(s),
        packing_(*on->f32, shape.groups, shape.outputs / shape.groups, 1, shape.channels / shape.groups),
        panels_(packing_.groups * packing_.panels()),
        tiles_(shape) {
    zeros_.assign(static_cast<size_t>(shape.channels), 0.f);
    reserve_weights(s, static_cast<size_t>(kPoints) * packing_.bytes());
    name = str_cat("cpu:winograd ", on->f32->name);
  }

  void pack_weights(const float* w, std::byte* to) const override {
    const Unpacked u = unpacked(weights, w);
    parallel_for(panels_, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) pack_panel(u, panel_at(i), floats(to));
    });
  }

  void run_last(const Run& r) const override {
    tiles_.for_blocks(on->caches, kPoints * shape.channels * 4, on->f32->tiles.rows, panels_,
                      [&](const Block& b, int64_t first, int64_t last) { block(r, b, first, last); });
  }

 private:
  using Block = WinogradTiles::Block;

  void block(const Run& r, const Block& b, int64_t first_panel, int64_t last_panel) const {
    const int64_t pixels = kPoints * b.count() * shape.channels, widest = packing_.panel + packing_.lanes;
    const ThreadArray<float> lent(static_cast<size_t>(pixels + kPoints * b.count() * widest + 16));
    float *const v = lent.data(), *const m = v + (pixels + 15) / 16 * 16;
    for (int64_t tile = b.first; tile < b.last; ++tile) take_pixels(r.x, b, tile, v);
    for (int64_t i = first_panel; i < last_panel; ++i) {
      const Panel panel = panel_at(i);
      multiply_panel(floats(r.w), v, b.count(), panel, m);
      for (int64_t tile = b.first; tile < b.last; ++tile) give_results(r, b, tile, panel, m);
    }
  }

  // Some columns of one group.
  struct Panel {
    int64_t weights, channel;                      // where they start: among the packed floats, the channels,
    int64_t column, columns, width;                // and the outputs; how many there are, alone and with padding
  };
  Panel panel_at(int64_t i) const {
    const Packing& k = packing_;
    const int64_t group = i / k.panels(), panel = i % k.panels(), first = panel * k.panel;
    const bool last = panel + 1 == k.panels();
    return {kPoints * (group * k.group_floats() + panel * k.panel_floats()), group * k.depth, group * k.columns + first,
            last ? k.columns - first : k.panel, last ? k.last_width() : k.panel};
  }

  // A panel's matrices of all points are adjacent. Few channels at a time: their taps are gathered with columns
  // innermost, then transformed into place.
  void pack_panel(const Unpacked& u, const Panel& panel, float* to) const {
    constexpr int64_t kChannels = 16, kTaps = 9;
    const float* const w = u.w + panel.column * u.column;
    const ThreadArray<float> lent(static_cast<size_t>(kChannels * kTaps * panel.width));
    float* const taps = lent.data();
    std::fill(taps, taps + kChannels * kTaps * panel.width, 0.f);
    to += panel.weights;
    for (int64_t c = 0; c < packing_.depth; c += kChannels) {
      const int64_t few = std::min(kChannels, packing_.depth - c);
      for (int64_t k = 0; k < panel.columns; ++k)
        for (int64_t i = 0; i < few; ++i)
          for (int64_t t = 0; t < kTaps; ++t)
            taps[(i * kTaps + t) * panel.width + k] =
                w[k * u.column + (c + i) * u.depth + t / 3 * u.taps[1] + t % 3 * u.taps[2]];
      for (int64_t i = 0; i < few; ++i)
        on->f32->winograd_filters({.w = taps + i * kTaps * panel.width,
                               .y = to + (c + i) * panel.width,
                               .w_step = panel.width,
                               .y_step = packing_.depth * panel.width,
                               .columns = panel.width});
    }
  }

  void take_pixels(const float* x, const Block& b, int64_t tile, float* v) const {
    WinogradInput t{.v = v + (tile - b.first) * shape.channels,
                    .v_step = b.count() * shape.channels,
                    .channels = shape.channels};
    tiles_.pixels(shape, x, zeros_.data(), tile, t.x);
    on->f32->winograd_input(t);
  }

  // For each point: the block's tiles times a panel of the filters' columns.
  void multiply_panel(const float* w, const float* v, int64_t count, const Panel& panel, float* m) const {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const int64_t pieces = (count + on->f32->tiles.rows - 1) / on->f32->tiles.rows;
    const float* rows[WinogradTiles::kMost];
    Tile t{.a = rows, .a_step = count, .a_offset = panel.channel, .taps = 1, .depth = packing_.depth, .b_step = 0,
           .y_step = panel.width, .columns = panel.width, .lo = -kInfinity, .hi = kInfinity};
    for (int64_t i = 0; i < kPoints; ++i) {
      for (int64_t r = 0; r < count; ++r) rows[r] = v + (i * count + r) * shape.channels;
      t.b = w + panel.weights + i * packing_.depth * panel.width;
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t first = count * piece / pieces;
        t.a = rows + first;
        t.rows = static_cast<int>(count * (piece + 1) / pieces - first);
        t.y = m + (i * count + first) * panel.width;
        on->f32->tiles.tile(t, 1);
      }
    }
  }

  void give_results(const Run& r, const Block& b, int64_t tile, const Panel& panel, const float* m) const {
    const WinogradTiles::Origin p = tiles_.origin(tile);
    const int64_t at = ((p.image * shape.out[1] + p.y) * shape.out[2] + p.x) * shape.outputs + panel.column;
    const WinogradOutput t{.m = m + (tile - b.first) * panel.width,
                           .m_step = b.count() * panel.width,
                           .bias = r.bias ? r.bias + panel.column : nullptr,
                           .residual = r.residual ? r.residual + at : nullptr,
                           .y = r.y + at,
                           .row_step = shape.out[2] * shape.outputs,
                           .pixel_step = shape.outputs,
                           .columns = panel.columns,
                           .height = static_cast<int>(std::min(kSide, shape.out[1] - p.y)),
                           .width = static_cast<int>(std::min(kSide, shape.out[2] - p.x)),
                           .lo = finish.lo,
                           .hi = finish.hi};
    on->f32->winograd_output(t);
    if (!finish.map) return;
    const Epilogue& e = finish.act;
    for (int i = 0; i < t.height; ++i)
      for (int j = 0; j < t.width; ++j) {
        float* const y = t.y + i * t.row_step + j * t.pixel_step;
        on->f32->unary(e.act, e.a, e.b, y, y, t.columns);
      }
  }

  Packing packing_;                                // of one point's matrix
  int64_t panels_;                                 // of all groups
  WinogradTiles tiles_;
  std::vector<float> zeros_;
};

}  // namespace

// Unless the weights are constant and the shape promises a gain, none.
PlanPtr plan_winograd(const Site& s) {
  const ConvShape shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape);
  const Costs& c = processor().costs;
  const WinogradRates rates{.direct = c.direct / 2, .products = c.products / 2, .pixel_bytes = 4, .weight_bytes = 4};
  const bool fits = s.is_constant(1) && winograd_fits(shape) && shape.channels / shape.groups >= 16 &&
                    shape.outputs / shape.groups >= 16;
  if (!fits || !winograd_gains(shape, rates, c)) return nullptr;
  return std::make_shared<WinogradConv>(s);
}

}  // namespace fovea::kernels::cpu
