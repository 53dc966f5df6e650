// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/conv.cpp — which convolution runs how. Our own kernels work on channels-last images; others are
// turned over first.
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/conv/channels_last.h"
#include "kernels/cpu/conv/depthwise_weights.h"
#include "kernels/cpu/conv/rows.h"
#include "kernels/cpu/conv/transposed.h"
#include "kernels/cpu/product/product.h"
#include "kernels/cpu/vendor/dnn_conv.h"

namespace fovea::kernels::cpu {

namespace {

// Every convolution as a product: rows are places of the result, columns are outputs.
class ProductConv final : public ChannelsLastConv<float> {
 public:
  explicit ProductConv(const Site& s) : ChannelsLastConv(s), rows_(shape) {
    if (rows_.surrounds) surround_at_ = lend(rows_.surrounded_elements() * static_cast<int64_t>(sizeof(float)));
    packing_ = Packing(*on->f32, shape.groups, shape.outputs / shape.groups, rows_.taps, rows_.depth);
    if (rows_.needs_zeros) zeros_.assign(static_cast<size_t>(shape.channels), 0.f);
    reserve_weights(s, packing_.bytes());
    name = str_cat("cpu:product ", on->f32->name);
  }

  void pack_weights(const float* w, std::byte* to) const override {
    pack_columns(packing_, unpacked(weights, w), floats(to));
  }
  void run_last(const Run& r) const override {
    const float* x = r.x;
    if (rows_.surrounds) {
      float* larger = floats(r.scratch + surround_at_);
      surround(shape, rows_.inner, x, larger);
      x = larger;
    }
    Product p{.on = on,
              .packing = packing_,
              .rows = shape.batch * shape.out_places(),
              .b = floats(r.w),
              .bias = r.bias,
              .residual = r.residual,
              .y = r.y,
              .y_step = shape.outputs,
              .residual_step = shape.outputs,
              .finish = finish};
    multiply(p, Windows(rows_, x, zeros_.data()));
  }

 private:
  ConvRows rows_;
  size_t surround_at_ = 0;
  Packing packing_;
  std::vector<float> zeros_;
};

bool takes(const Site& s) {
  if (!all_f32(s)) return false;
  const auto& a = s.attrs<ConvAttrs>();
  if (!loops().has_unary(a.epilogue.act)) return false;
  if (s.has(2) && s.operand(2).shape[0] > 1 && s.operand(2).strides[0] != 1) return false;
  return in_known_orders(s);
}

template <PlanPtr (*plan)(const Site&)>
PlanPtr of_taken(const Site& s) { return takes(s) ? plan(s) : nullptr; }

PlanPtr plan_product(const Site& s) { return std::make_shared<ProductConv>(s); }

// The first that takes a convolution runs it. oneDNN's convolutions were measured beside our products (ResNet-18 and
// -50, DenseNet-121, EfficientNet-B0, f32, batch 1, AVX-512) and won nowhere by more than a twentieth, so that only
// gradients are left to it.
constexpr Kernel table[] = {
    {&ops::conv, of_taken<plan_depthwise>, accepts_own},
    {&ops::conv, of_taken<plan_winograd>},
    {&ops::conv, of_taken<plan_few>},
    {&ops::conv, of_taken<plan_product>},
    {&ops::conv_dx, plan_transposed},
    {&ops::conv_dw, plan_depthwise_dw},
#if FOVEA_HAVE_ONEDNN
    {&ops::conv_dw, plan_dnn_conv_dw},
#endif
};

}  // namespace

PlanPtr plan_conv(const Site& s) {
  for (const Kernel& k : table)
    if (k.op == &ops::conv)
      if (PlanPtr p = k.plan(s)) return p;
  return nullptr;
}

std::span<const Kernel> conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
