// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/quant_conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/conv/rows.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

QuantConv::QuantConv(const Site& s)
    : attrs(s.attrs<QuantConvAttrs>()),
      shape(attrs.conv, s.operand(0).shape, s.operand(1).shape, s.result().shape),
      on(&processor()),
      finish(attrs.conv.epilogue),
      has_residual_(s.has(4)),
      hard_swish_(attrs.conv.epilogue.act == Unary::hard_swish) {}

QuantFinish QuantConv::finish_of(const Args& a) const {
  QuantFinish f{};
  f.residual = has_residual_ ? a.in[4] : nullptr;
  f.residual_step = f.y_step = shape.outputs;
  f.residual_u8 = static_cast<bool>(attrs.residual);
  f.residual_scale = attrs.residual.scale;
  f.residual_shift = -attrs.residual.scale * static_cast<float>(attrs.residual.zero);
  f.y = a.out[0];
  f.lo = finish.lo;
  f.hi = finish.hi;
  f.y_u8 = static_cast<bool>(attrs.y);
  f.inverse = attrs.y ? 1 / attrs.y.scale : 0;
  f.zero = static_cast<float>(attrs.y.zero);
  f.hard_swish = hard_swish_;
  return f;
}

namespace {

// As integer products: rows are places of the result, columns are outputs. Images with few or oddly many channels are
// copied into larger ones: with the zero around them, and channels in fours.
class QuantProductConv final : public QuantConv {
 public:
  explicit QuantProductConv(const Site& s) : QuantConv(s), rows_(rows_of(shape)) {
    if (rows_.surrounds) scratch = aligned(static_cast<size_t>(rows_.surrounded_elements()));
    packing_ = {shape.groups, shape.outputs / shape.groups, rows_.taps, rows_.depth};
    zeros_.assign(static_cast<size_t>(rows_.needs_zeros ? shape.channels : 0), static_cast<uint8_t>(attrs.x.zero));
    packing_.fill = on->u8_tiles->fill;
    packing_.together = on->u8_tiles->together;
    name = str_cat("cpu:quant product ", on->u8_tiles->name);
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
      surround(shape, rows_.inner, x, larger, static_cast<uint8_t>(attrs.x.zero));
      x = larger;
    }
    QuantProduct p;
    p.on = on;
    p.packing = packing_;
    p.rows = shape.batch * shape.out_places();
    p.b = reinterpret_cast<const int8_t*>(a.in[1]);
    p.finish = finish_of(a);
    p.finish.scale = floats(a.in[2]);
    p.finish.bias = reinterpret_cast<const int32_t*>(a.in[3]);
    p.map = map();
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

  // w is [outputs][channels][taps] of one group after the other.
  void pack_weights(const int8_t* w, std::byte* out) const {
    const int64_t given = shape.channels / shape.groups, taps = shape.taps();
    std::memset(out, 0, packing_.bytes());
    auto to = reinterpret_cast<int8_t*>(out);
    const int64_t inner = rows_.inner.channels;
    for (int64_t o = 0; o < shape.outputs; ++o) {
      const int64_t group = o / packing_.columns, column = o % packing_.columns;
      int8_t* const panel = to + (group * packing_.panels() + column / kQuantPanel) * packing_.panel_bytes();
      for (int64_t c = 0; c < given; ++c)
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap = rows_.merges ? t / shape.kernel[2] : t;
          const int64_t depth = rows_.merges ? t % shape.kernel[2] * inner + c : c;
          panel[packing_.place(tap, depth, column % kQuantPanel)] = w[(o * given + c) * taps + t];
        }
    }
  }

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
  if (PlanPtr fewer_products = plan_quant_winograd(s)) return fewer_products;
  return std::make_shared<QuantProductConv>(s);
}

constexpr Kernel table[] = {{&ops::quant_conv, plan_quant_conv}};

}  // namespace

std::span<const Kernel> quant_conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
