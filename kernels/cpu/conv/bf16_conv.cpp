// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/bf16_conv.cpp — which convolution in bf16 runs how; as products of pairs, rows are places of the
// result and columns are outputs.
#include "kernels/cpu/conv/bf16_conv.h"

#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/transpose.h"
#include "kernels/cpu/conv/rows.h"

namespace fovea::kernels::cpu {

Bf16ChannelsLastConv::Bf16ChannelsLastConv(const Site& s, bool turns_x)
    : shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape),
      weights(s.operand(1)),
      finish(s.attrs<ConvAttrs>().epilogue) {
  const bool residual = s.attrs<ConvAttrs>().epilogue.residual;
  turn_x_ = turns_x && !lies_as(s.operand(0), Memory::channels_last);
  turn_y_ = !lies_as(s.result(), Memory::channels_last);
  if (turn_x_) x_at_ = lend(s.operand(0).bytes());
  if (turn_y_) y_at_ = lend(s.result().bytes());
  if (residual && turn_y_) residual_at_ = lend(s.result().bytes());
  residual_operand_ = residual ? static_cast<int>(s.in.size()) - 1 : -1;
}

size_t Bf16ChannelsLastConv::lend(int64_t bytes) {
  const size_t at = scratch;
  scratch += aligned(static_cast<size_t>(bytes));
  return at;
}

void Bf16ChannelsLastConv::pack(int operand, const std::byte* in, std::byte* out) const {
  if (operand == 1) pack_weights(halves(in), out);
  else operands_.pack_bias(in, out);
}

void Bf16ChannelsLastConv::run(const Args& a, Stream&) const {
  const std::byte *x = a.in[0], *residual = residual_operand_ >= 0 ? a.in[residual_operand_] : nullptr;
  if (turn_x_) x = turned(shape.channels, shape.in_places(), x, a.scratch + x_at_);
  if (turn_y_ && residual) residual = turned(shape.outputs, shape.out_places(), residual, a.scratch + residual_at_);
  std::byte* const y = turn_y_ ? a.scratch + y_at_ : a.out[0];
  const auto pack = [&](const std::byte* in, std::byte* out) { pack_weights(halves(in), out); };
  run_last({halves(x), operands_.weights(a, pack), operands_.bias(a), halves(residual), halves(y), a.scratch});
  if (turn_y_) turned(shape.out_places(), shape.outputs, y, a.out[0]);
}

// Every image [rows][columns] to [columns][rows].
const std::byte* Bf16ChannelsLastConv::turned(int64_t rows, int64_t columns, const std::byte* from,
                                              std::byte* to) const {
  transpose({shape.batch, rows, columns, rows * columns, columns, rows * columns, rows}, sizeof(bfloat16), from, to);
  return to;
}

namespace {

class Bf16ProductConv final : public Bf16ChannelsLastConv {
 public:
  explicit Bf16ProductConv(const Site& s) : Bf16ChannelsLastConv(s), rows_(shape) {
    if (rows_.surrounds) surround_at_ = lend(rows_.surrounded_elements() * static_cast<int64_t>(sizeof(bfloat16)));
    if (rows_.needs_zeros) zeros_.assign(static_cast<size_t>(shape.channels), bfloat16{});
    product_ = {.on = &processor(),
                .packing = pair_packing(shape.groups, shape.outputs / shape.groups, rows_.taps, rows_.depth),
                .rows = shape.batch * shape.out_places(),
                .depth = rows_.depth,
                .y_step = shape.outputs,
                .residual_step = shape.outputs,
                .finish = finish};
    reserve_weights(s, product_.packing.bytes());
    name = str_cat("cpu:product ", product_.on->bf16_tiles->name);
  }

  void pack_weights(const bfloat16* w, std::byte* to) const override {
    const int n = weights.rank() - 2;
    UnpackedBf16 u{.w = w, .column = weights.strides[0], .depth = weights.strides[1], .taps = {0, 0, 0},
                   .sizes = {1, 1, 1}, .elements = rows_.depth, .inner = weights.shape[1]};
    for (int i = 0; i < n; ++i) {
      u.taps[3 - n + i] = weights.strides[2 + i];
      u.sizes[3 - n + i] = weights.shape[2 + i];
    }
    if (rows_.merges) u.sizes[2] = 1;
    pack_pairs(product_.packing, u, pairs(to));
  }

  void run_last(const Run& r) const override {
    const bfloat16* x = r.x;
    if (rows_.surrounds) {
      bfloat16* const larger = halves(r.scratch + surround_at_);
      surround(shape, rows_.inner, x, larger);
      x = larger;
    }
    Bf16Product p = product_;
    p.b = pairs(r.w);
    p.bias = r.bias;
    p.residual = r.residual;
    p.y = r.y;
    multiply(p, Windows(rows_, x, zeros_.data()));
  }

 private:
  ConvRows rows_;
  Bf16Product product_;
  std::vector<bfloat16> zeros_;
  size_t surround_at_ = 0;
};

bool accepts(const Site& s, const Epilogue& e) { return all_bf16(s) && loops().has_unary(e.act); }

bool takes(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!accepts(s, a.epilogue)) return false;
  if (s.has(2) && !lies_as(s.operand(2), Memory::contiguous)) return false;
  const Meta &x = s.operand(0), &y = s.result();
  if (!lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous)) return false;
  if (!lies_as(y, Memory::channels_last) && !lies_as(y, Memory::contiguous)) return false;
  if (!a.epilogue.residual) return true;
  return lies_as(s.in.back(), lies_as(y, Memory::channels_last) ? Memory::channels_last : Memory::contiguous);
}

PlanPtr plan_conv(const Site& s) {
  if (!takes(s)) return nullptr;
  if (PlanPtr p = plan_bf16_depthwise(s)) return p;
  if (PlanPtr p = plan_bf16_few(s)) return p;
  return processor().bf16 ? std::make_shared<Bf16ProductConv>(s) : nullptr;
}

constexpr Kernel table[] = {{&ops::conv, plan_conv, accepts}};

}  // namespace

std::span<const Kernel> bf16_conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
