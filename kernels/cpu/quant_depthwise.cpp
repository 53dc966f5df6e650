// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/quant_depthwise.cpp — depthwise convolutions in integers: blocks of 64, 32 or 16 channels, row by row.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/quant_conv.h"
#include "kernels/cpu/quant_tables.h"

namespace fovea::kernels::cpu {
namespace {

struct Block {
  int64_t channel;
  int size, channels;
  int64_t at;                                      // in packed scale and bias
};

class QuantDepthwiseConv final : public QuantConvPlan {
 public:
  explicit QuantDepthwiseConv(const Site& s) : QuantConvPlan(s) {
    for (int64_t c = 0; c < shape.channels;) {
      const int64_t left = shape.channels - c;
      const int size = left > 32 ? 64 : left > 16 ? 32 : 16;
      blocks_.push_back({c, size, static_cast<int>(std::min<int64_t>(size, left)), lanes_});
      lanes_ += size;
      c += size;
    }
    quads_ = static_cast<int>((shape.kernel[1] + 3) / 4);
    outside_.assign(64, static_cast<uint8_t>(attrs.x.zero));
    // f32 results are written a block at a time
    plain_ = attrs.y && !has_residual && map.act == Unary::identity;
    name = cat("cpu:quant depthwise ", quant->name);
  }

  size_t packed_bytes(int operand) const override {
    if (operand == 1) return static_cast<size_t>(lanes_ * w_each());
    return operand == 2 || operand == 3 ? static_cast<size_t>(lanes_) * 4 : 0;
  }

  void pack(int operand, const std::byte* in, std::byte* out) const override {
    std::memset(out, 0, packed_bytes(operand));
    for (const Block& b : blocks_)
      for (int c = 0; c < b.channels; ++c) {
        const int lane = lane_of_channel(b.size, c);
        if (operand != 1) {
          std::memcpy(out + (b.at + lane) * 4, in + (b.channel + c) * 4, 4);
          continue;
        }
        const auto* w = reinterpret_cast<const int8_t*>(in) + (b.channel + c) * shape.taps();
        auto* to = reinterpret_cast<int8_t*>(out) + b.at * w_each();
        for (int64_t y = 0; y < shape.kernel[1]; ++y)
          for (int64_t x = 0; x < shape.kernel[2]; ++x)
            to[((x * quads_ + y / 4) * b.size + lane) * 4 + y % 4] = w[y * shape.kernel[2] + x];
      }
  }

  void run(const Args& a, Stream&) const override {
    const auto blocks = static_cast<int64_t>(blocks_.size()), items = shape.batch * blocks * shape.out[1];
    const int64_t work = std::min<int64_t>(64, shape.channels) * shape.out[2] * shape.taps();
    const auto pointers = static_cast<size_t>(QuantRowTables::needs(shape) * 2);
    parallel_for(items, std::max<int64_t>(1, 200000 / (work + 1)), [&](int64_t first, int64_t last) {
      constexpr size_t kFloats = kPixels * 64;
      float* const buffer = thread_buffer(kFloats + pointers);
      QuantRowTables tables(shape, outside_.data(), reinterpret_cast<const uint8_t**>(buffer + kFloats));
      for (int64_t i = first; i < last; ++i)
        one_row(a, i / shape.out[1] / blocks, blocks_[static_cast<size_t>(i / shape.out[1] % blocks)],
                i % shape.out[1], tables, buffer);
    });
  }

 private:
  static constexpr int kPixels = 4;
  int64_t w_each() const { return shape.kernel[2] * quads_ * 4; }    // bytes for each lane

  void one_row(const Args& a, int64_t image, const Block& b, int64_t oy, QuantRowTables& tables, float* buffer) const {
    const auto* x = reinterpret_cast<const uint8_t*>(a.in[0]);
    const uint8_t* const* rows[8];
    for (int k = 0; k < 4 * quads_; ++k) {
      const int64_t y = oy * shape.stride[1] - shape.pad[1] + k * shape.dilation[1];
      const bool inside = k < shape.kernel[1] && y >= 0 && y < shape.in[1];
      rows[k] = inside ? tables.of(y, x + (image * shape.in[1] + y) * shape.in[2] * shape.channels + b.channel)
                       : tables.blank();
    }
    QuantDepthwise t{};
    t.x = rows;
    t.w = reinterpret_cast<const int8_t*>(a.in[1]) + b.at * w_each();
    t.row_quads = quads_;
    t.kernel = static_cast<int>(shape.kernel[2]);
    t.stride = static_cast<int>(shape.stride[2]);
    t.dilation = static_cast<int>(shape.dilation[2]);
    t.block = b.size;
    t.channels = b.channels;
    t.finish = ends(a);
    t.finish.scale = floats(a.in[2]) + b.at;
    t.finish.bias = reinterpret_cast<const int32_t*>(a.in[3]) + b.at;
    const bool fours = (t.kernel == 3 || t.kernel == 5) && shape.kernel[1] == t.kernel && t.stride <= 2 &&
                       t.dilation == 1 && shape.out[2] >= kPixels;
    const int64_t row = (image * shape.out[1] + oy) * shape.out[2];
    t.pixels = fours ? kPixels : 1;
    for (int64_t ox = 0; ox < shape.out[2]; ox += t.pixels) {
      if (fours) ox = std::min(ox, shape.out[2] - kPixels);          // the last ones overlap those before
      t.x_at = ox * t.stride;
      some_pixels(t, (row + ox) * shape.outputs + b.channel, buffer);
    }
  }

  // at: where the first result lies, in elements.
  void some_pixels(QuantDepthwise& t, int64_t at, float* buffer) const {
    const QuantFinish whole = t.finish;
    std::byte* const y = static_cast<std::byte*>(whole.y);
    if (plain_) {
      t.finish.y = y + at;
      quant->depthwise(t);
      t.finish = whole;
      return;
    }
    t.finish.y = buffer;
    t.finish.y_step = 64;
    t.finish.y_u8 = false;
    t.finish.residual = nullptr;
    // what follows the residual is clamped when that was added
    if (has_residual) {
      t.finish.lo = -kHuge;
      t.finish.hi = kHuge;
      t.finish.hard_swish = false;
    }
    quant->depthwise(t);
    t.finish = whole;
    for (int p = 0; p < t.pixels; ++p) {
      float* const v = buffer + p * 64;
      const int64_t from = at + p * whole.y_step;
      Epilogue act = map;
      if (has_residual) {
        add_residual(whole, from, v, t.channels);
        act = attrs.conv.epilogue;
      }
      map_run(*set, *quant, act, whole, v, y + (whole.y_u8 ? from : from * 4), t.channels);
    }
  }

  void add_residual(const QuantFinish& f, int64_t at, float* v, int n) const {
    for (int i = 0; i < n; ++i)
      v[i] += f.residual_u8 ? static_cast<float>(static_cast<const uint8_t*>(f.residual)[at + i]) * f.residual_scale +
                                  f.residual_shift
                            : static_cast<const float*>(f.residual)[at + i];
  }

  static constexpr float kHuge = 3e38f;
  std::vector<Block> blocks_;
  int64_t lanes_ = 0;                              // of all blocks
  int quads_ = 1;                                  // fours of kernel rows
  bool plain_ = true;
  std::vector<uint8_t> outside_;
};

}  // namespace

PlanPtr plan_quant_depthwise(const Site& s) {
  const ConvShape shape(s.attrs<QuantConvAttrs>().conv, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  if (!shape.depthwise() || shape.kernel[0] != 1 || shape.in[0] != 1 || shape.out[0] != 1 || shape.kernel[1] > 8)
    return nullptr;
  return std::make_shared<QuantDepthwiseConv>(s);
}

}  // namespace fovea::kernels::cpu
