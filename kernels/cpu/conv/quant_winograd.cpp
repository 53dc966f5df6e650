// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_winograd.cpp — dense 3x3 convolutions of u8 by Winograd's minimal filtering in
// integers, without rounding.
#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/threads.h"
#include "kernels/cpu/conv/quant_conv.h"
#include "kernels/cpu/pointwise/coarse_map.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kSide = 4;                       // results of a tile, in both directions
constexpr int64_t kWindow = 6;                     // pixels that they need
constexpr int64_t kPoints = kWindow * kWindow;     // products of matrices that take the place of the nine taps
constexpr int64_t kMostTiles = 36;                 // of a block, whose transformed pixels and sums share the L2 cache
constexpr int64_t kBlockBytes = 448 << 10;         // of transformed pixels
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
        down_((shape.out[1] + kSide - 1) / kSide), across_((shape.out[2] + kSide - 1) / kSide),
        tiles_(shape.batch * down_ * across_),
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

  // Blocks of tiles are independent. Where there are fewer than threads, threads share a block's columns and each of
  // them transforms the block's pixels.
  void run(const Args& a, Stream&) const override {
    const int64_t fit = kBlockBytes / (kPoints * shape.channels * 2);
    const int64_t most = std::clamp<int64_t>(fit, kernels_->rows, kMostTiles), team = threads();
    int64_t blocks = (tiles_ + most - 1) / most;
    if (tiles_ >= team * kernels_->rows) blocks = (blocks + team - 1) / team * team;
    const int64_t shares = std::clamp<int64_t>(blocks < team ? team / blocks : 1, 1, panels_);
    parallel_for(blocks * shares, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t b = i / shares, share = i % shares;
        block(a, {.first = tiles_ * b / blocks, .last = tiles_ * (b + 1) / blocks}, panels_ * share / shares,
              panels_ * (share + 1) / shares);
      }
    });
  }

 private:
  struct Block {
    int64_t first, last;
    int64_t count() const { return last - first; }
  };
  struct TileOrigin {
    int64_t image, y, x;                           // of a tile's first result
  };
  TileOrigin origin_of(int64_t tile) const {
    return {tile / (down_ * across_), tile / across_ % down_ * kSide, tile % across_ * kSide};
  }
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
    const TileOrigin p = origin_of(tile);
    QuantWinogradInput t{.v = v + (tile - b.first) * shape.channels,
                         .v_step = b.count() * shape.channels,
                         .channels = shape.channels};
    for (int64_t i = 0; i < kWindow; ++i)
      for (int64_t j = 0; j < kWindow; ++j) {
        const int64_t y = p.y + i - shape.pad[1], column = p.x + j - shape.pad[2];
        const bool inside = y >= 0 && y < shape.in[1] && column >= 0 && column < shape.in[2];
        t.x[i * kWindow + j] =
            inside ? x + ((p.image * shape.in[1] + y) * shape.in[2] + column) * shape.channels : outside_.data();
      }
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
    const TileOrigin p = origin_of(tile);
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
  int64_t panels_, down_, across_, tiles_;
  std::vector<uint8_t> outside_;
};

// Seconds on one thread: products at their usual rates, transforms and weights at the rate of the caches that hold
// them.
bool promises_gain(const ConvShape& s) {
  const auto places = static_cast<double>(s.batch * s.out[1] * s.out[2]), in = static_cast<double>(s.channels),
             out = static_cast<double>(s.outputs);
  const auto tiles = static_cast<double>(s.batch * ((s.out[1] + kSide - 1) / kSide) * ((s.out[2] + kSide - 1) / kSide));
  constexpr double kProducts = 80e9, kTransforms = 12e9, kFar = 24e9, kNear = 1 << 20;
  const double weights = 36 * in * out * 2;
  const double direct = places * 9 * in * out / kProducts;
  const double winograd = tiles * 36 * in * out / kProducts + tiles * 36 * (in * 2 + out * 4) / kTransforms +
                          (weights > kNear ? weights / kFar : 0);
  return winograd < 0.95 * direct;
}

}  // namespace

PlanPtr plan_quant_winograd(const Site& s) {
  const ConvShape shape(s.attrs<QuantConvAttrs>().conv, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  using Three = ConvShape::Three;
  const bool fits = processor().u8_winograd && shape.kernel == Three{1, 3, 3} && shape.stride == Three{1, 1, 1} &&
                    shape.dilation == Three{1, 1, 1} && shape.in[0] == 1 && shape.groups == 1 &&
                    shape.channels % kFewChannels == 0;
  if (!fits || !promises_gain(shape)) return nullptr;
  return std::make_shared<QuantWinogradConv>(s);
}

}  // namespace fovea::kernels::cpu
