// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/conv.cpp — which convolution runs how. Our own kernels work on channels-last images; others are
// turned over first.
#include "kernels/cpu/conv/conv.h"

#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/transpose.h"
#include "kernels/cpu/conv/depthwise.h"
#include "kernels/cpu/conv/few.h"
#include "kernels/cpu/conv/rows.h"
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/product/product.h"
#include "kernels/cpu/vendor/dnn_conv.h"

namespace fovea::kernels::cpu {

ChannelsLastConv::ChannelsLastConv(const Site& s, bool turns_x)
    : shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape) {
  const auto& a = s.attrs<ConvAttrs>();
  on = &processor();
  finish = Finish(a.epilogue);
  w_strides_ = s.operand(1).strides;
  w_shape_ = s.operand(1).shape;
  packed_ = s.is_constant(1);
  turn_x_ = turns_x && !lies_as(s.operand(0), Memory::channels_last);
  turn_y_ = !lies_as(s.result(), Memory::channels_last);
  if (turn_x_) x_at_ = lend(s.operand(0).bytes());
  if (turn_y_) y_at_ = lend(s.result().bytes());
  if (a.epilogue.residual && turn_y_) residual_at_ = lend(s.result().bytes());
  residual_operand_ = a.epilogue.residual ? static_cast<int>(s.in.size()) - 1 : -1;
}

size_t ChannelsLastConv::lend(int64_t bytes) {
  const size_t at = scratch;
  scratch += aligned(static_cast<size_t>(bytes));
  return at;
}

void ChannelsLastConv::reserve_weights() {
  if (!packed_) w_at_ = lend(static_cast<int64_t>(weight_bytes()));
}

void ChannelsLastConv::run(const Args& a, Stream&) const {
  const float *x = floats(a.in[0]), *w = floats(a.in[1]);
  const float* residual = residual_operand_ >= 0 ? floats(a.in[residual_operand_]) : nullptr;
  float* y = floats(a.out[0]);
  if (!packed_) {
    float* packed = floats(a.scratch + w_at_);
    pack_weights(w, packed);
    w = packed;
  }
  if (turn_x_) {
    float* turned = floats(a.scratch + x_at_);
    to_channels_last(shape.batch, shape.channels, shape.in_places(), x, turned);
    x = turned;
  }
  if (turn_y_) {
    y = floats(a.scratch + y_at_);
    if (residual) {
      float* turned = floats(a.scratch + residual_at_);
      to_channels_last(shape.batch, shape.outputs, shape.out_places(), residual, turned);
      residual = turned;
    }
  }
  run_last({x, w, floats(a.in[2]), residual, y, a.scratch});
  if (turn_y_) to_contiguous(shape.batch, shape.outputs, shape.out_places(), y, floats(a.out[0]));
}

size_t ChannelsLastConv::packed_bytes(int operand) const { return operand == 1 ? weight_bytes() : 0; }
void ChannelsLastConv::pack(int operand, const std::byte* in, std::byte* out) const {
  if (operand == 1) pack_weights(floats(in), floats(out));
}

Unpacked ChannelsLastConv::unpacked(const float* w) const {
  Unpacked u{.w = w, .column = w_strides_[0], .depth = w_strides_[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1}};
  const int n = w_shape_.size() - 2;
  for (int i = 0; i < n; ++i) {
    u.taps[3 - n + i] = w_strides_[2 + i];
    u.sizes[3 - n + i] = w_shape_[2 + i];
  }
  return u;
}

namespace {

// Every convolution as a product: rows are places of the result, columns are outputs.
class ProductConv final : public ChannelsLastConv {
 public:
  explicit ProductConv(const Site& s) : ChannelsLastConv(s), rows_(shape) {
    if (rows_.surrounds) surround_at_ = lend(rows_.surrounded_elements() * static_cast<int64_t>(sizeof(float)));
    packing_ = Packing(*on->f32, shape.groups, shape.outputs / shape.groups, rows_.taps, rows_.depth);
    if (rows_.needs_zeros) zeros_.assign(static_cast<size_t>(shape.channels), 0.f);
    reserve_weights();
    name = str_cat("cpu:product ", on->f32->name);
  }

  size_t weight_bytes() const override { return packing_.bytes(); }
  void pack_weights(const float* w, float* to) const override { pack_columns(packing_, unpacked(w), to); }
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
              .b = r.w,
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
  const Meta &x = s.operand(0), &y = s.result();
  if (!lies_as(x, Memory::channels_last) && !lies_as(x, Memory::contiguous)) return false;
  if (!lies_as(y, Memory::channels_last) && !lies_as(y, Memory::contiguous)) return false;
  if (!a.epilogue.residual) return true;
  const Memory order = lies_as(y, Memory::channels_last) ? Memory::channels_last : Memory::contiguous;
  return lies_as(s.in.back(), order);
}

// oneDNN's convolutions were measured beside our products (ResNet-18 and -50, DenseNet-121, EfficientNet-B0, f32, batch
// 1, AVX-512) and won nowhere by more than a twentieth, so that only gradients are left to it.
PlanPtr plan_conv(const Site& s) {
  if (!takes(s)) return nullptr;
  if (PlanPtr p = plan_depthwise(s)) return p;
  if (PlanPtr p = plan_winograd(s)) return p;
  if (PlanPtr p = plan_few(s)) return p;
  return std::make_shared<ProductConv>(s);
}

constexpr Kernel table[] = {
    {&ops::conv, plan_conv, accepts_own},
#if FOVEA_HAVE_ONEDNN
    {&ops::conv_dx, plan_dnn_conv_dx},
    {&ops::conv_dw, plan_dnn_conv_dw},
#endif
};

}  // namespace

std::span<const Kernel> conv_kernels() { return table; }

}  // namespace fovea::kernels::cpu
