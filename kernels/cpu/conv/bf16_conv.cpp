// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/bf16_conv.cpp — which convolution in bf16 runs how; as products of pairs, rows are places of the
// result and columns are outputs.
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/rows.h"
#include "kernels/cpu/product/bf16_product.h"

namespace fovea::kernels::cpu {

namespace {

class Bf16ProductConv final : public ChannelsLastConv<bfloat16> {
 public:
  explicit Bf16ProductConv(const Site& s) : ChannelsLastConv<bfloat16>(s), rows_(shape) {
    if (rows_.surrounds) surround_at_ = lend(rows_.surrounded_elements() * static_cast<int64_t>(sizeof(bfloat16)));
    if (rows_.needs_zeros) zeros_.assign(static_cast<size_t>(shape.channels), bfloat16{});
    product_ = {.on = on,
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
  return in_known_orders(s);
}

template <PlanPtr (*plan)(const Site&)>
PlanPtr of_taken(const Site& s) { return takes(s) ? plan(s) : nullptr; }

PlanPtr plan_product(const Site& s) { return processor().bf16 ? std::make_shared<Bf16ProductConv>(s) : nullptr; }

// The first that takes a convolution runs it.
constexpr Kernel table[] = {{&ops::conv, of_taken<plan_bf16_depthwise>, accepts},
                            {&ops::conv, of_taken<plan_bf16_few>},
                            {&ops::conv, of_taken<plan_product>}};

}  // namespace

std::span<const Kernel> bf16_conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
