// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/quant_conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/quant_tables.h"

namespace fovea::kernels::cpu {

QuantConvPlan::QuantConvPlan(const Site& s)
    : shape(s.attrs<QuantConvAttrs>().conv, s.operand(0).shape, s.operand(1).shape, s.result().shape),
      attrs(s.attrs<QuantConvAttrs>()), set(&loops()), quant(&quant_loops()), has_residual(s.has(4)) {
  const Finish finish(attrs.conv.epilogue);
  lo_ = finish.lo;
  hi_ = finish.hi;
  hard_swish_ = attrs.conv.epilogue.act == Unary::hard_swish;
  if (finish.map && !hard_swish_) map = attrs.conv.epilogue;
}

QuantFinish QuantConvPlan::ends(const Args& a) const {
  QuantFinish f{};
  f.residual = has_residual ? a.in[4] : nullptr;
  f.residual_step = f.y_step = shape.outputs;
  f.residual_u8 = static_cast<bool>(attrs.residual);
  f.residual_scale = attrs.residual.scale;
  f.residual_shift = -attrs.residual.scale * static_cast<float>(attrs.residual.zero);
  f.y = a.out[0];
  f.lo = lo_;
  f.hi = hi_;
  f.y_u8 = static_cast<bool>(attrs.y);
  f.inverse = attrs.y ? 1 / attrs.y.scale : 0;
  f.zero = static_cast<float>(attrs.y.zero);
  f.hard_swish = hard_swish_;
  return f;
}

namespace {

// As integer products: rows are places of the result, columns are outputs. Images with few or oddly many channels are
// copied into larger ones: with the zero around them, and channels in fours.
class QuantProductConv final : public QuantConvPlan {
 public:
  explicit QuantProductConv(const Site& s) : QuantConvPlan(s), inner_(shape) {
    constexpr int64_t kFew = 16;                   // channels too few to fill a tap
    const int64_t each = shape.channels / shape.groups;
    copies_ = shape.groups == 1 && (each % 4 != 0 || (shape.pads && each < kFew && shape.taps() > 1));
    if (copies_) {
      inner_.channels = (each + 3) / 4 * 4;
      for (size_t i = 0; i < 3; ++i) {
        inner_.in[i] = std::max(shape.in[i] + shape.pad[i],
                                (shape.out[i] - 1) * shape.stride[i] + (shape.kernel[i] - 1) * shape.dilation[i] + 1);
        inner_.pad[i] = 0;
      }
      inner_.pads = false;
      scratch = aligned(static_cast<size_t>(inner_.batch * inner_.in_places() * inner_.channels));
    }
    merge_ = !inner_.pads && shape.groups == 1 && shape.dilation[2] == 1 && shape.kernel[2] > 1;
    const int64_t channels = inner_.channels / shape.groups;
    packing_ = {shape.groups, shape.outputs / shape.groups, merge_ ? shape.kernel[0] * shape.kernel[1] : shape.taps(),
                merge_ ? shape.kernel[2] * channels : channels};
    zeros_.assign(static_cast<size_t>(inner_.pads ? shape.channels : 0), static_cast<uint8_t>(attrs.x.zero));
    name = cat("cpu:quant product ", quant->name);
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
    if (copies_) {
      surround(x, reinterpret_cast<uint8_t*>(a.scratch));
      x = reinterpret_cast<const uint8_t*>(a.scratch);
    }
    QuantProduct p;
    p.set = set;
    p.loops = quant;
    p.packing = packing_;
    p.rows = shape.batch * shape.out_places();
    p.b = reinterpret_cast<const int8_t*>(a.in[1]);
    p.finish = ends(a);
    p.finish.scale = floats(a.in[2]);
    p.finish.bias = reinterpret_cast<const int32_t*>(a.in[3]);
    p.map = map;
    const QuantWindows windows(inner_, x, zeros_.data(), merge_);
    multiply(p, [](const void* c, int64_t first, int64_t count, const uint8_t** to, int64_t step) {
      (*static_cast<const QuantWindows*>(c))(first, count, to, step);
    }, &windows);
  }

 private:
  // w is [outputs][channels][taps] of one group after the other.
  void pack_weights(const int8_t* w, std::byte* out) const {
    const int64_t given = shape.channels / shape.groups, taps = shape.taps();
    std::memset(out, 0, packing_.bytes());
    auto to = reinterpret_cast<int8_t*>(out);
    const int64_t inner = merge_ ? inner_.channels : 0;
    for (int64_t o = 0; o < shape.outputs; ++o) {
      const int64_t group = o / packing_.columns, column = o % packing_.columns;
      int8_t* const panel = to + (group * packing_.panels() + column / kQuantPanel) * packing_.panel_bytes();
      for (int64_t c = 0; c < given; ++c)
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap = merge_ ? t / shape.kernel[2] : t;
          const int64_t depth = merge_ ? t % shape.kernel[2] * inner + c : c;
          const int64_t at = (tap * packing_.quads() + depth / 4) * kQuantPanel + column % kQuantPanel;
          panel[at * 4 + depth % 4] = w[(o * given + c) * taps + t];
        }
    }
  }

  void surround(const uint8_t* x, uint8_t* y) const {
    const auto zero = static_cast<uint8_t>(attrs.x.zero);
    const int64_t whole = inner_.in[2] * inner_.channels;
    parallel_for(shape.batch * inner_.in[0] * inner_.in[1], 65536 / (whole + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t v = i % inner_.in[1] - shape.pad[1], z = i / inner_.in[1] % inner_.in[0] - shape.pad[0],
                      image = i / (inner_.in[1] * inner_.in[0]);
        uint8_t* const line = y + i * whole;
        std::memset(line, zero, static_cast<size_t>(whole));
        if (v < 0 || v >= shape.in[1] || z < 0 || z >= shape.in[0]) continue;
        copy_row(x + ((image * shape.in[0] + z) * shape.in[1] + v) * shape.in[2] * shape.channels,
                 line + shape.pad[2] * inner_.channels);
      }
    });
  }
  void copy_row(const uint8_t* from, uint8_t* to) const {
    const int64_t given = shape.channels, room = inner_.channels;
    for (int64_t i = 0; i < shape.in[2]; ++i)
      for (int64_t c = 0; c < given; ++c) to[i * room + c] = from[i * given + c];
  }

  ConvShape inner_;                                // of the image that is read
  bool copies_ = false, merge_ = false;            // merge_: the windows' innermost dimension belongs to the depth
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
