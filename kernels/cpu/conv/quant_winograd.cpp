// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_winograd.cpp — dense 3x3 convolutions of u8 by Winograd's minimal filtering in
// integers, without rounding.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/conv/quant_conv.h"
#include "kernels/cpu/conv/winograd_tiles.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kSide = WinogradTiles::kSide, kPoints = WinogradTiles::kPoints;
constexpr int64_t kFewChannels = 32;               // whose number divides that of the channels
constexpr int64_t kMostPixel = 128;                // less 128, either way

// Rows of a filter as isa/u8.h scales them.
void filter_forward(const int g[3], int64_t step, int* y, int64_t y_step) {
  const int a = g[0], b = g[step], c = g[2 * step];
  y[0] = 2 * a;
  y[y_step] = 4 * (a + b + c);
  y[2 * y_step] = 4 * (a - b + c);
  y[3 * y_step] = a + 2 * b + 4 * c;
  y[4 * y_step] = a - 2 * b + 4 * c;
  y[5 * y_step] = 8 * c;
}

// Packed weights: of each panel, of each point [channels / 2][column][2]; then a number for each column, what the 128
// adds that is taken from each pixel; then how many parts of the channels have sums of their own, so that none is too
// large.
class QuantWinogradConv final : public QuantConv {
 public:
  explicit QuantWinogradConv(const Site& s)
      : QuantConv(s), kernels_(on->u8_winograd), panels_((shape.outputs + kQuantPanel - 1) / kQuantPanel),
        tiles_(shape),
        outside_(static_cast<size_t>(shape.channels), static_cast<uint8_t>(attrs.x.zero)) {
    name = str_cat("cpu:quant winograd ", kernels_->name);
  }

  size_t packed_bytes(int operand) const override {
    const auto columns = static_cast<size_t>(panels_ * kQuantPanel) * 4;
    if (operand == 1) return weight_bytes() + columns + sizeof(int32_t);
    return operand == 2 || operand == 3 ? columns : 0;
  }

  void pack(int operand, const std::byte* in, std::byte* out) const override {
    if (operand == 1) return pack_weights(reinterpret_cast<const int8_t*>(in), out);
    std::memset(out, 0, packed_bytes(operand));
    std::memcpy(out, in, static_cast<size_t>(shape.outputs) * 4);
  }

  void run(const Args& a, Stream&) const override {
    tiles_.for_blocks(on->caches, kPoints * shape.channels * 2, kernels_->rows, panels_,
                      [&](const Block& b, int64_t first, int64_t last) { block(a, b, first, last); });
  }

 private:
  using Block = WinogradTiles::Block;

  int64_t point_elements() const { return shape.channels * kQuantPanel; }
  size_t weight_bytes() const { return static_cast<size_t>(panels_ * kPoints * point_elements()) * sizeof(int16_t); }

  void pack_weights(const int8_t* w, std::byte* out) const {
    std::memset(out, 0, packed_bytes(1));
    const int64_t each = shape.channels * 9;
    auto to = reinterpret_cast<int16_t*>(out);
    auto shift = reinterpret_cast<int32_t*>(out + weight_bytes());
    int64_t largest = 0;
    for (int64_t o = 0; o < shape.outputs; ++o) {
      int64_t sum = 0, magnitude = 0;
      for (int64_t i = 0; i < each; ++i) {
        sum += w[o * each + i];
        magnitude += w[o * each + i] < 0 ? -w[o * each + i] : w[o * each + i];
      }
      shift[o] = static_cast<int32_t>(kMostPixel * sum);
      largest = std::max(largest, kMostPixel * magnitude);
    }
    parallel_for(shape.outputs, 1, [&](int64_t first, int64_t last) {
      for (int64_t o = first; o < last; ++o) pack_filters(w + o * each, o, to);
    });
    const auto parts = static_cast<int32_t>(largest <= kMostQuantResult ? 1 : most_parts());
    std::memcpy(shift + panels_ * kQuantPanel, &parts, sizeof parts);
  }
  void pack_filters(const int8_t* w, int64_t output, int16_t* to) const {
    const int64_t panel = output / kQuantPanel, column = output % kQuantPanel;
    to += panel * kPoints * point_elements() + column * 2;
    for (int64_t c = 0; c < shape.channels; ++c, w += 9) {
      int taps[9], half[18], all[36];
      std::copy_n(w, 9, taps);
      for (int j = 0; j < 3; ++j) filter_forward(taps + j, 3, half + j, 3);
      for (int i = 0; i < 6; ++i) filter_forward(half + 3 * i, 1, all + 6 * i, 1);
      for (int64_t i = 0; i < kPoints; ++i)
        to[i * point_elements() + c / 2 * 2 * kQuantPanel + c % 2] = static_cast<int16_t>(all[i]);
    }
  }
  // Of the channels, each with a multiple of four of them, whatever the weights are.
  int64_t most_parts() const {
    constexpr int64_t kSafe = kMostQuantResult / (9 * kMostPixel * 128) / 4 * 4;
    return (shape.channels + kSafe - 1) / kSafe;
  }

  void block(const Args& a, const Block& b, int64_t first_panel, int64_t last_panel) const {
    const int64_t pixels = aligned_bytes(kPoints * b.count() * shape.channels * 2),
                  sums = kPoints * b.count() * kQuantPanel * 4, results = b.count() * kSide * kSide * kQuantPanel * 4;
    const ThreadMemory lent(static_cast<size_t>(pixels + sums + results));
    const auto v = reinterpret_cast<int16_t*>(lent.data());
    const auto m = reinterpret_cast<int32_t*>(lent.data() + pixels), y = m + sums / 4;
    for (int64_t tile = b.first; tile < b.last; ++tile)
      take_pixels(reinterpret_cast<const uint8_t*>(a.in[0]), b, tile, v);
    const auto w = reinterpret_cast<const int16_t*>(a.in[1]);
    const auto shift = reinterpret_cast<const int32_t*>(a.in[1] + weight_bytes());
    int32_t parts;
    std::memcpy(&parts, shift + panels_ * kQuantPanel, sizeof parts);
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t quads = shape.channels / 4, first = quads * part / parts * 4,
                      last = quads * (part + 1) / parts * 4;
        multiply_panel(w, v, b.count(), panel, first, last, m);
        for (int64_t i = 0; i < b.count(); ++i)
          kernels_->output({.m = m + i * kQuantPanel,
                            .m_step = b.count() * kQuantPanel,
                            .start = part == 0 ? shift + panel * kQuantPanel : nullptr,
                            .y = y + i * kSide * kSide * kQuantPanel});
      }
      for (int64_t i = 0; i < b.count(); ++i) give_results(a, b.first + i, panel, y + i * kSide * kSide * kQuantPanel);
    }
  }
  static int64_t aligned_bytes(int64_t n) { return static_cast<int64_t>(aligned(static_cast<size_t>(n))); }

  void take_pixels(const uint8_t* x, const Block& b, int64_t tile, int16_t* v) const {
    QuantWinogradInput t{.v = v + (tile - b.first) * shape.channels,
                         .v_step = b.count() * shape.channels,
                         .channels = shape.channels};
    tiles_.pixels(shape, x, outside_.data(), tile, t.x);
    kernels_->input(t);
  }

  // For each point: the block's tiles times a panel of the filters' columns, over some of the channels.
  void multiply_panel(const int16_t* w, const int16_t* v, int64_t count, int64_t panel, int64_t first_channel,
                      int64_t last_channel, int32_t* m) const {
    const int64_t pieces = (count + kernels_->rows - 1) / kernels_->rows;
    for (int64_t i = 0; i < kPoints; ++i)
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t first = count * piece / pieces, last = count * (piece + 1) / pieces;
        kernels_->multiply({.a = v + (i * count + first) * shape.channels + first_channel,
                            .a_step = shape.channels,
                            .depth = last_channel - first_channel,
                            .b = w + (panel * kPoints + i) * point_elements() + first_channel * kQuantPanel,
                            .y = m + (i * count + first) * kQuantPanel,
                            .rows = static_cast<int>(last - first),
                            .columns = std::min<int64_t>(kQuantPanel, shape.outputs - panel * kQuantPanel)});
      }
  }

  void give_results(const Args& a, int64_t tile, int64_t panel, const int32_t* sums) const {
    const WinogradTiles::Origin p = tiles_.origin(tile);
    const int64_t first = panel * kQuantPanel, columns = std::min<int64_t>(kQuantPanel, shape.outputs - first);
    const auto width = static_cast<int>(std::min(kSide, shape.out[2] - p.x));
    QuantFinish f = finish_of(a);
    f.scale = floats(a.in[2]) + first;
    f.bias = reinterpret_cast<const int32_t*>(a.in[3]) + first;
    const Epilogue e = map();
    for (int64_t i = 0; i < kSide && p.y + i < shape.out[1]; ++i, sums += kSide * kQuantPanel) {
      const int64_t at = ((p.image * shape.out[1] + p.y + i) * shape.out[2] + p.x) * shape.outputs + first;
      QuantFinish row = f;
      row.y = element(f.y, f.y_u8, at);
      if (f.residual) row.residual = element(f.residual, f.residual_u8, at);
      if (e.act == Unary::identity) kernels_->finish(row, sums, width, columns);
      else give_mapped(e, row, sums, width, columns);
    }
  }
  void give_mapped(const Epilogue& e, const QuantFinish& f, const int32_t* sums, int width, int64_t columns) const {
    alignas(64) float values[kSide * kQuantPanel];
    QuantFinish wide = f;
    wide.y = values;
    wide.y_step = kQuantPanel;
    wide.y_u8 = false;
    kernels_->finish(wide, sums, width, columns);
    map_rows(*on, e, f, {values, kQuantPanel, width, columns});
  }

  const QuantWinograd* kernels_;
  int64_t panels_;
  WinogradTiles tiles_;
  std::vector<uint8_t> outside_;
};

// As measured with AVX2: direct convolutions and their own products multiply as fast as each other.
constexpr WinogradRates kRates{.direct = 80e9, .products = 80e9, .pixel_bytes = 2, .weight_bytes = 2};

}  // namespace

PlanPtr plan_quant_winograd(const Site& s) {
  const ConvShape shape(s.attrs<QuantConvAttrs>().conv, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  const bool fits = processor().u8_winograd && winograd_fits(shape) && shape.groups == 1 &&
                    shape.channels % kFewChannels == 0;
  if (!fits || !winograd_gains(shape, kRates, processor().costs)) return nullptr;
  return std::make_shared<QuantWinogradConv>(s);
}

}  // namespace fovea::kernels::cpu
