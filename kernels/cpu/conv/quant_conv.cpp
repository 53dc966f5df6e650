// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/quant_conv.cpp — convolutions of u8 by s8 weights as integer products.
#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/ops/lowered/quant.h"
#include "kernels/cpu/conv/rows.h"
#include "kernels/cpu/product/quant_product.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

namespace {

// As integer products: rows are places of the result, columns are outputs. Images with few or oddly many channels are
// copied into larger ones: with the zero around them, and channels in fours.
// Weights, scale and bias are constants and packed: operands 1, 2 and 3.
class QuantProductConv final : public Plan {
 public:
  explicit QuantProductConv(const Site& s)
      : attrs_(s.attrs<QuantConvAttrs>()),
        shape_(attrs_.conv, s.operand(0).shape, s.operand(1).shape, s.result().shape),
        on_(&processor()),
        finish_(attrs_.conv.epilogue),
        has_residual_(s.has(4)),
        rows_(rows_of(shape_)) {
    hard_swish_ = attrs_.conv.epilogue.act == Unary::hard_swish;
    if (rows_.surrounds) scratch = aligned(static_cast<size_t>(rows_.surrounded_elements()));
    packing_ = {shape_.groups, shape_.outputs / shape_.groups, rows_.taps, rows_.depth};
    zeros_.assign(static_cast<size_t>(rows_.needs_zeros ? shape_.channels : 0), static_cast<uint8_t>(attrs_.x.zero));
    packing_.fill = on_->u8_tiles->fill;
    name = str_cat("cpu:quant product ", on_->u8_tiles->name);
  }

  size_t packed_bytes(int operand) const override {
    if (operand == 1) return packing_.bytes();
    return operand == 2 || operand == 3 ? static_cast<size_t>(packing_.padded_columns()) * 4 : 0;
  }

  void pack(int operand, const std::byte* in, std::byte* out) const override {
    if (operand == 1) return pack_weights(reinterpret_cast<const int8_t*>(in), out);
    std::memset(out, 0, packed_bytes(operand));
    const int64_t padded = packing_.panels() * kQuantPanel;
    for (int64_t g = 0; g < packing_.groups; ++g)
      std::memcpy(out + g * padded * 4, in + g * packing_.columns * 4, static_cast<size_t>(packing_.columns) * 4);
  }

  void run(const Args& a, Stream&) const override {
    auto x = reinterpret_cast<const uint8_t*>(a.in[0]);
    if (rows_.surrounds) {
      const auto larger = reinterpret_cast<uint8_t*>(a.scratch);
      surround(shape_, rows_.inner, x, larger, static_cast<uint8_t>(attrs_.x.zero));
      x = larger;
    }
    QuantProduct p;
    p.on = on_;
    p.packing = packing_;
    p.rows = shape_.batch * shape_.out_places();
    p.b = reinterpret_cast<const int8_t*>(a.in[1]);
    p.finish = ends(a);
    p.finish.scale = floats(a.in[2]);
    p.finish.bias = reinterpret_cast<const int32_t*>(a.in[3]);
    if (finish_.map && !hard_swish_) p.map = attrs_.conv.epilogue;
    multiply(p, Windows(rows_, x, zeros_.data()));
  }

 private:
  static ConvRows rows_of(const ConvShape& s) {
    constexpr int64_t kFew = 16;                   // channels too few to fill a tap
    const int64_t each = s.channels / s.groups;
    const bool surrounds = s.groups == 1 && (each % 4 != 0 || (s.pads && each < kFew && s.taps() > 1));
    ConvShape inner = surrounds ? surrounded(s) : s;
    if (surrounds) inner.channels = (each + 3) / 4 * 4;
    ConvRows rows(inner, !inner.pads && s.groups == 1 && s.dilation[2] == 1 && s.kernel[2] > 1);
    rows.surrounds = surrounds;
    return rows;
  }

  // All but scale and bias.
  QuantFinish ends(const Args& a) const {
    QuantFinish f{};
    f.residual = has_residual_ ? a.in[4] : nullptr;
    f.residual_step = f.y_step = shape_.outputs;
    f.residual_u8 = static_cast<bool>(attrs_.residual);
    f.residual_scale = attrs_.residual.scale;
    f.residual_shift = -attrs_.residual.scale * static_cast<float>(attrs_.residual.zero);
    f.y = a.out[0];
    f.lo = finish_.lo;
    f.hi = finish_.hi;
    f.y_u8 = static_cast<bool>(attrs_.y);
    f.inverse = attrs_.y ? 1 / attrs_.y.scale : 0;
    f.zero = static_cast<float>(attrs_.y.zero);
    f.hard_swish = hard_swish_;
    return f;
  }

  // w is [outputs][channels][taps] of one group after the other.
  void pack_weights(const int8_t* w, std::byte* out) const {
    const int64_t given = shape_.channels / shape_.groups, taps = shape_.taps();
    std::memset(out, 0, packing_.bytes());
    auto to = reinterpret_cast<int8_t*>(out);
    const int64_t inner = rows_.inner.channels;
    for (int64_t o = 0; o < shape_.outputs; ++o) {
      const int64_t group = o / packing_.columns, column = o % packing_.columns;
      int8_t* const panel = to + (group * packing_.panels() + column / kQuantPanel) * packing_.panel_bytes();
      for (int64_t c = 0; c < given; ++c)
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap = rows_.merges ? t / shape_.kernel[2] : t;
          const int64_t depth = rows_.merges ? t % shape_.kernel[2] * inner + c : c;
          const int64_t at = (tap * packing_.quads() + depth / 4) * kQuantPanel + column % kQuantPanel;
          panel[at * 4 + depth % 4] = w[(o * given + c) * taps + t];
        }
    }
  }

  QuantConvAttrs attrs_;
  ConvShape shape_;
  const Processor* on_;
  Finish finish_;
  bool has_residual_, hard_swish_ = false;
  ConvRows rows_;
  QuantPacking packing_;
  std::vector<uint8_t> zeros_;
};

bool takes(const Site& s) {
  const auto& a = s.attrs<QuantConvAttrs>();
  if (!s.is_constant(1) || !s.is_constant(2) || !s.is_constant(3)) return false;
  if (!loops().has_unary(a.conv.epilogue.act) || !s.operand(1).is_contiguous()) return false;
  if (s.attrs<QuantConvAttrs>().conv.groups > 1 && !lies_as(s.operand(0), Memory::channels_last)) return false;
  for (const Meta* m : {&s.operand(0), &s.result(), s.has(4) ? &s.operand(4) : &s.result()})
    if (!lies_as(*m, Memory::channels_last)) return false;
  const ConvShape shape(a.conv, s.operand(0).shape, s.operand(1).shape, s.result().shape);
  if (std::any_of(shape.pad.begin(), shape.pad.end(), [](int64_t p) { return p < 0; })) return false;
  return shape.groups == 1 || shape.channels / shape.groups % 4 == 0;
}

PlanPtr plan_quant_conv(const Site& s) {
  if (!takes(s)) return nullptr;
  return std::make_shared<QuantProductConv>(s);
}

constexpr Kernel table[] = {{&ops::quant_conv, plan_quant_conv}};

}  // namespace

std::span<const Kernel> quant_conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
