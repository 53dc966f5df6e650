// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/bf16_conv.cpp — convolutions in bf16 as products of pairs: rows are places of the result, columns are
// outputs.
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/bf16_product.h"
#include "kernels/cpu/conv_rows.h"
#include "kernels/cpu/transpose.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16Conv final : public Plan {
 public:
  explicit Bf16Conv(const Site& s)
      : shape_(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape), rows_(shape_) {
    const Epilogue& e = s.attrs<ConvAttrs>().epilogue;
    residual_operand_ = e.residual ? static_cast<int>(s.in.size()) - 1 : -1;
    turn_x_ = !lies_as(s.operand(0), Memory::channels_last);
    turn_y_ = !lies_as(s.result(), Memory::channels_last);
    if (turn_x_) x_at_ = lend(s.operand(0).bytes());
    if (turn_y_) y_at_ = lend(s.result().bytes());
    if (e.residual && turn_y_) residual_at_ = lend(s.result().bytes());
    if (rows_.surrounds) surround_at_ = lend(rows_.surrounded_elements() * static_cast<int64_t>(sizeof(bfloat16)));
    if (rows_.needs_zeros) zeros_.assign(static_cast<size_t>(shape_.channels), bfloat16{});
    product_ = {.loops = &loops(),
                .set = bf16_set(),
                .packing = pair_packing(shape_.groups, shape_.outputs / shape_.groups, rows_.taps, rows_.depth),
                .rows = shape_.batch * shape_.out_places(),
                .depth = rows_.depth,
                .y_step = shape_.outputs,
                .residual_step = shape_.outputs,
                .finish = Finish(e)};
    weights_.reserve(s, product_.packing, unpacked(s.operand(1)), scratch);
    name = cat("cpu:product ", product_.set->name);
  }

  size_t packed_bytes(int operand) const override { return weights_.packed_bytes(operand); }
  void pack(int operand, const std::byte* in, std::byte* out) const override { weights_.pack(operand, in, out); }

  void run(const Args& a, Stream&) const override {
    Bf16Product p = product_;
    weights_.give(a, p);
    const std::byte *x = a.in[0], *residual = residual_operand_ >= 0 ? a.in[residual_operand_] : nullptr;
    if (turn_x_) x = last(shape_.channels, shape_.in_places(), x, a.scratch + x_at_);
    if (turn_y_ && residual)
      residual = last(shape_.outputs, shape_.out_places(), residual, a.scratch + residual_at_);
    if (rows_.surrounds) {
      surround(shape_, rows_.inner, halves(x), halves(a.scratch + surround_at_));
      x = a.scratch + surround_at_;
    }
    std::byte* const y = turn_y_ ? a.scratch + y_at_ : a.out[0];
    p.residual = halves(residual);
    p.y = halves(y);
    multiply(p, Windows(rows_, halves(x), zeros_.data()));
    if (turn_y_) last(shape_.out_places(), shape_.outputs, y, a.out[0]);
  }

 private:
  size_t lend(int64_t bytes) {
    const size_t at = scratch;
    scratch += aligned(static_cast<size_t>(bytes));
    return at;
  }

  // Images [channels][places] to [places][channels]; the other way round when asked so.
  const std::byte* last(int64_t channels, int64_t places, const std::byte* from, std::byte* to) const {
    transpose({shape_.batch, channels, places, channels * places, places, channels * places, channels},
              sizeof(bfloat16), from, to);
    return to;
  }

  UnpackedBf16 unpacked(const Meta& w) const {
    UnpackedBf16 u{.w = nullptr, .column = w.strides[0], .depth = w.strides[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1},
                   .elements = rows_.depth, .inner = w.shape[1]};
    const int n = w.rank() - 2;
    for (int i = 0; i < n; ++i) {
      u.taps[3 - n + i] = w.strides[2 + i];
      u.sizes[3 - n + i] = w.shape[2 + i];
    }
    if (rows_.merges) u.sizes[2] = 1;
    return u;
  }

  ConvShape shape_;
  ConvRows rows_;
  Bf16Product product_;
  Bf16Weights weights_;
  std::vector<bfloat16> zeros_;
  bool turn_x_ = false, turn_y_ = false;
  size_t x_at_ = 0, y_at_ = 0, residual_at_ = 0, surround_at_ = 0;
  int residual_operand_ = -1;
};

bool takes(const Site& s) {
  const auto& a = s.attrs<ConvAttrs>();
  if (!accepts_bf16(s, a.epilogue)) return false;
  if (s.has(2) && !lies_as(s.operand(2), Memory::contiguous)) return false;
  const Meta &x = s.operand(0), &y = s.result();
  if (!lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous)) return false;
  if (!lies_as(y, Memory::channels_last) && !lies_as(y, Memory::contiguous)) return false;
  if (!a.epilogue.residual) return true;
  return lies_as(s.in.back(), lies_as(y, Memory::channels_last) ? Memory::channels_last : Memory::contiguous);
}

PlanPtr plan_conv(const Site& s) {
  const ConvShape shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape);
  return takes(s) && !shape.depthwise() ? std::make_shared<Bf16Conv>(s) : nullptr;
}

constexpr Kernel table[] = {{&ops::conv, plan_conv, accepts_bf16}};

}  // namespace

std::span<const Kernel> bf16_conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
