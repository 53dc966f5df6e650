// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/bf16_linear.cpp — linear layers in bf16 as products of pairs.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/product/operands.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16Linear final : public Plan {
 public:
  explicit Bf16Linear(const Site& s) {
    const Meta& w = s.operand(1);
    const Epilogue& e = s.attrs<LinearAttrs>().epilogue;
    const int64_t columns = w.shape[0], depth = w.shape[1];
    product_ = {.on = &processor(),
                .packing = pair_packing(1, columns, 1, depth),
                .rows = s.result().numel() / std::max<int64_t>(1, columns),
                .depth = depth,
                .y_step = columns,
                .residual_step = columns,
                .finish = Finish(e)};
    w_ = {.w = nullptr, .column = w.strides[0], .depth = w.strides[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1},
          .elements = depth, .inner = std::max<int64_t>(1, depth)};
    operands_.reserve(s, product_.packing.bytes(), scratch);
    residual_ = e.residual ? static_cast<int>(s.in.size()) - 1 : -1;
    name = str_cat("cpu:product ", product_.on->bf16_tiles->name);
  }

  size_t packed_bytes(int operand) const override { return operands_.packed_bytes(operand); }
  void pack(int operand, const std::byte* in, std::byte* out) const override {
    if (operand == 1) pack_weights(in, out);
    else operands_.pack_bias(in, out);
  }

  void run(const Args& a, Stream&) const override {
    Bf16Product p = product_;
    p.b = pairs(operands_.weights(a, [&](const std::byte* in, std::byte* out) { pack_weights(in, out); }));
    p.bias = operands_.bias(a);
    p.residual = residual_ >= 0 ? halves(a.in[residual_]) : nullptr;
    p.y = halves(a.out[0]);
    const bfloat16* const x = halves(a.in[0]);
    multiply(p, [&](int64_t first, int64_t count, const bfloat16** to, int64_t) {
      for (int64_t r = 0; r < count; ++r) to[r] = x + (first + r) * p.depth;
    });
  }

 private:
  void pack_weights(const std::byte* in, std::byte* out) const {
    UnpackedBf16 w = w_;
    w.w = halves(in);
    pack_pairs(product_.packing, w, pairs(out));
  }

  Bf16Product product_;
  UnpackedBf16 w_{};
  Operands<bfloat16> operands_;
  int residual_;
};

PlanPtr plan_linear(const Site& s) {
  const Epilogue& e = s.attrs<LinearAttrs>().epilogue;
  if (!accepts_bf16(s, e)) return nullptr;
  if (!lies_as(s.operand(0), Memory::contiguous) || !lies_as(s.result(), Memory::contiguous)) return nullptr;
  if (s.has(2) && !lies_as(s.operand(2), Memory::contiguous)) return nullptr;
  if (e.residual && !lies_as(s.in.back(), Memory::contiguous)) return nullptr;
  return std::make_shared<Bf16Linear>(s);
}

constexpr Kernel table[] = {{&ops::linear, plan_linear, accepts_bf16}};

}  // namespace

std::span<const Kernel> bf16_linear_kernels() { return table; }

}  // namespace fovea::kernels::cpu
