// SPDX-License-Identifier: Apache-2.0
// test/kernels/pieces.cpp — gradients of convolutions give work to sixteen threads: the pieces are counted, not timed.
#include <algorithm>
#include <atomic>

#include "engine/core/threads.h"
#include "kernels/cpu/conv/pieces.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/product/product.h"
#include "kernels/cpu/threads/grid.h"
#include "test/support/catch.h"

using namespace fovea;
using namespace fovea::kernels::cpu;

namespace {

struct Layer {
  const char* name;
  int64_t channels, outputs, size, kernel, stride, groups;     // size: of the images' sides
};
// Every kind of convolution of ResNet-18 and ResNet-50, and depthwise ones of EfficientNet-B0 and ConvNeXt.
constexpr Layer kLayers[] = {
    {"stem", 3, 64, 224, 7, 2, 1},
    {"18, stage 1", 64, 64, 56, 3, 1, 1},
    {"18, stage 2", 128, 128, 28, 3, 1, 1},
    {"18, to stage 2", 64, 128, 56, 3, 2, 1},
    {"18, stage 3", 256, 256, 14, 3, 1, 1},
    {"18, stage 4", 512, 512, 7, 3, 1, 1},
    {"50, reduce", 256, 64, 56, 1, 1, 1},
    {"50, expand", 64, 256, 56, 1, 1, 1},
    {"50, shortcut", 1024, 2048, 14, 1, 2, 1},
    {"50, last", 2048, 512, 7, 1, 1, 1},
    {"depthwise", 32, 32, 112, 3, 1, 32},
    {"depthwise s2", 240, 240, 28, 3, 2, 240},
    {"ConvNeXt", 96, 96, 56, 7, 1, 96}};

struct Metas3 {
  ConvAttrs attrs;
  Meta gy, x, gw;
};
Metas3 metas_of(const Layer& l, int64_t batch) {
  const int64_t pad = l.kernel / 2, out = (l.size + 2 * pad - l.kernel) / l.stride + 1;
  ConvAttrs a;
  a.stride = {l.stride, l.stride};
  a.dilation = {1, 1};
  a.pad_lo = a.pad_hi = {pad, pad};
  a.groups = l.groups;
  const auto image = [&](int64_t c, int64_t n) {
    return make_meta(DType::f32, {batch, c, n, n}, Memory::channels_last);
  };
  return {a, image(l.outputs, out), image(l.channels, l.size),
          make_meta(DType::f32, {l.outputs, l.channels / l.groups, l.kernel, l.kernel})};
}

}  // namespace

TEST_CASE("the gradient of a convolution's weights has pieces for sixteen threads", "[cpu]") {
  for (const Layer& l : kLayers) {
    INFO(l.name);
    const Metas3 m = metas_of(l, 8);
    CHECK(weight_pieces(m.attrs, m.gy, m.x, m.gw).size() >= 16);
  }
}

TEST_CASE("the gradient of a convolution's images has pieces for sixteen threads", "[cpu]") {
  const UseThreads sixteen(16);
  for (const Layer& l : kLayers) {
    if (l.groups > 1 || l.channels == 3) continue; // depthwise ones are cut by rows; nobody wants those of the photos
    INFO(l.name);
    // as conv/transposed.cpp computes one of stride^2 phases: places of the images by channels, over outputs and taps
    const int64_t side = (l.size + l.stride - 1) / l.stride, taps = std::max<int64_t>(1, l.kernel / l.stride);
    const Packing packing(loops(), 1, l.channels, taps * taps, l.outputs);
    const int64_t rows = 8 * side * side, tile = loops().tiles.rows;
    std::atomic<int> pieces{0};
    over_grid(grid_work(processor(), packing, rows, (rows + tile - 1) / tile),
              [&](int64_t, int64_t, int64_t, int64_t) { ++pieces; });
    CHECK(pieces >= 16);
  }
}

TEST_CASE("pieces of a gradient cover every place and output once", "[cpu]") {
  for (const Layer& l : kLayers)
    for (const int64_t batch : {1, 3, 8, 21}) {
      INFO(l.name << ", " << batch << " images");
      const Metas3 m = metas_of(l, batch);
      const int64_t rows = m.gy.shape[2];
      std::vector<int> seen(static_cast<size_t>(batch * l.outputs * rows));
      for (const WeightPiece& p : weight_pieces(m.attrs, m.gy, m.x, m.gw)) {
        CHECK((p.images == 1 || p.gy_rows == rows));
        CHECK(p.pad_lo + p.x_rows + p.pad_hi >= (p.gy_rows - 1) * l.stride + l.kernel);
        CHECK(p.gy_row * l.stride - m.attrs.pad_lo[0] == p.x_row - p.pad_lo);
        for (int64_t i = p.image; i < p.image + p.images; ++i)
          for (int64_t o = p.output; o < p.output + p.outputs; ++o)
            for (int64_t r = p.gy_row; r < p.gy_row + p.gy_rows; ++r)
              ++seen[static_cast<size_t>((i * l.outputs + o) * rows + r)];
      }
      CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
    }
}

TEST_CASE("pieces of a gradient do not depend on the number of threads", "[cpu]") {
  const Metas3 m = metas_of(kLayers[1], 8);
  std::vector<size_t> counts;
  for (const int n : {1, 2, 16}) {
    const UseThreads use(n);
    counts.push_back(weight_pieces(m.attrs, m.gy, m.x, m.gw).size());
  }
  CHECK((counts[0] == counts[1] && counts[1] == counts[2]));
}
