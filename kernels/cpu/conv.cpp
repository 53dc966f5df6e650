// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv.cpp — which convolution runs how. Our own kernels work on channels-last images; others are turned
// over first.
#include "kernels/cpu/conv.h"

#include <algorithm>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/depthwise.h"
#include "kernels/cpu/dnn_conv.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/winograd.h"

namespace fovea::kernels::cpu {

LastConv::LastConv(const Site& s)
    : shape(s.attrs<ConvAttrs>(), s.operand(0).shape, s.operand(1).shape, s.result().shape) {
  const auto& a = s.attrs<ConvAttrs>();
  set = &loops();
  finish = Finish(a.epilogue);
  w_strides_ = s.operand(1).strides;
  w_shape_ = s.operand(1).shape;
  packed_ = s.is_constant(1);
  turn_x_ = !lies_as(s.operand(0), Memory::channels_last);
  turn_y_ = !lies_as(s.result(), Memory::channels_last);
  if (turn_x_) x_at_ = lend(s.operand(0).bytes());
  if (turn_y_) y_at_ = lend(s.result().bytes());
  if (a.epilogue.residual && turn_y_) residual_at_ = lend(s.result().bytes());
  residual_operand_ = a.epilogue.residual ? static_cast<int>(s.in.size()) - 1 : -1;
}

size_t LastConv::lend(int64_t bytes) {
  const size_t at = scratch;
  scratch += aligned(static_cast<size_t>(bytes));
  return at;
}

void LastConv::reserve_weights() {
  if (!packed_) w_at_ = lend(static_cast<int64_t>(weight_bytes()));
}

void LastConv::run(const Args& a, Stream&) const {
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

size_t LastConv::packed_bytes(int operand) const { return operand == 1 ? weight_bytes() : 0; }
void LastConv::pack(int operand, const std::byte* in, std::byte* out) const {
  if (operand == 1) pack_weights(floats(in), floats(out));
}

Unpacked LastConv::unpacked(const float* w) const {
  Unpacked u{.w = w, .column = w_strides_[0], .depth = w_strides_[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1}};
  const int n = w_shape_.size() - 2;
  for (int i = 0; i < n; ++i) {
    u.taps[3 - n + i] = w_strides_[2 + i];
    u.sizes[3 - n + i] = w_shape_[2 + i];
  }
  return u;
}

namespace {

// Where each tap of each result reads, in a channels-last image; a row of zeros stands for places outside it.
class Windows {
 public:
  Windows(const ConvShape& s, const float* x, const float* zeros, bool whole_rows, const std::vector<int64_t>& offsets)
      : s_(s), x_(x), zeros_(zeros), across_(whole_rows ? 1 : s.kernel[2]), offsets_(offsets) {}

  // Of each tap, from the first one.
  static std::vector<int64_t> offsets(const ConvShape& s, bool whole_rows) {
    std::vector<int64_t> all;
    for (int64_t z = 0; z < s.kernel[0]; ++z)
      for (int64_t y = 0; y < s.kernel[1]; ++y)
        for (int64_t i = 0; i < (whole_rows ? 1 : s.kernel[2]); ++i)
          all.push_back(((z * s.dilation[0] * s.in[1] + y * s.dilation[1]) * s.in[2] + i * s.dilation[2]) * s.channels);
    return all;
  }

  void operator()(int64_t first, int64_t count, const float** to, int64_t step) const {
    if (s_.pointwise()) {
      for (int64_t r = 0; r < count; ++r) to[r] = x_ + (first + r) * s_.channels;
      return;
    }
    const int64_t row = first / s_.out[2], plane = row / s_.out[1];
    ConvShape::Three at{plane % s_.out[0], row % s_.out[1], first % s_.out[2]};
    int64_t image = plane / s_.out[0];
    for (int64_t r = 0; r < count; ++r) {
      one(to + r, step, image, at);
      if (++at[2] < s_.out[2]) continue;
      at[2] = 0;
      if (++at[1] < s_.out[1]) continue;
      at[1] = 0;
      if (++at[0] < s_.out[0]) continue;
      at[0] = 0;
      ++image;
    }
  }

 private:
  void one(const float** to, int64_t step, int64_t image, const ConvShape::Three& out) const {
    ConvShape::Three from;
    bool inside = true;
    for (size_t i = 0; i < 3; ++i) {
      from[i] = out[i] * s_.stride[i] - s_.pad[i];
      inside = inside && from[i] >= 0 && from[i] + (s_.kernel[i] - 1) * s_.dilation[i] < s_.in[i];
    }
    const float* const base =
        x_ + (((image * s_.in[0] + from[0]) * s_.in[1] + from[1]) * s_.in[2] + from[2]) * s_.channels;
    if (inside) {
      for (const int64_t offset : offsets_) {
        *to = base + offset;
        to += step;
      }
      return;
    }
    const int64_t* offset = offsets_.data();
    for (int64_t kz = 0; kz < s_.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < s_.kernel[1]; ++ky) {
        const int64_t z = from[0] + kz * s_.dilation[0], y = from[1] + ky * s_.dilation[1];
        const bool row_inside = z >= 0 && z < s_.in[0] && y >= 0 && y < s_.in[1];
        for (int64_t kx = 0; kx < across_; ++kx, to += step, ++offset) {
          const int64_t x = from[2] + kx * s_.dilation[2];
          *to = row_inside && x >= 0 && x < s_.in[2] ? base + *offset : zeros_;
        }
      }
  }

  const ConvShape& s_;
  const float *x_, *zeros_;
  int64_t across_;
  const std::vector<int64_t>& offsets_;
};

// Copies images into larger ones with zeros around them, so that a whole row of a window is adjacent.
void surround(const ConvShape& from, const ConvShape& to, const float* x, float* y) {
  const int64_t row = from.in[2] * from.channels, left = from.pad[2] * from.channels, whole = to.in[2] * from.channels;
  const int64_t right = whole - left - row;
  parallel_for(from.batch * to.in[0] * to.in[1], 16384 / (whole + 1) + 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t v = i % to.in[1] - from.pad[1], z = i / to.in[1] % to.in[0] - from.pad[0],
                    image = i / (to.in[1] * to.in[0]);
      float* line = y + i * whole;
      if (v < 0 || v >= from.in[1] || z < 0 || z >= from.in[0]) {
        std::fill(line, line + whole, 0.f);
        continue;
      }
      std::fill(line, line + left, 0.f);
      std::copy_n(x + ((image * from.in[0] + z) * from.in[1] + v) * row, row, line + left);
      std::fill(line + left + row, line + left + row + right, 0.f);
    }
  });
}

// Every convolution as a product: rows are places of the result, columns are outputs.
class ProductConv final : public LastConv {
 public:
  explicit ProductConv(const Site& s) : LastConv(s), inner_(shape) {
    constexpr int64_t kFew = 16;                   // channels too few to fill a tap
    const bool can_merge = shape.groups == 1 && shape.dilation[2] == 1 && shape.kernel[2] > 1;
    merge_ = can_merge &&
             (!shape.pads || (shape.channels < kFew && *std::min_element(shape.pad.begin(), shape.pad.end()) >= 0));
    if (merge_ && shape.pads) {
      for (size_t i = 0; i < 3; ++i) {
        inner_.in[i] = std::max(shape.in[i] + shape.pad[i],
                                (shape.out[i] - 1) * shape.stride[i] + (shape.kernel[i] - 1) * shape.dilation[i] + 1);
        inner_.pad[i] = 0;
      }
      inner_.pads = false;
      surround_at_ = lend(inner_.batch * inner_.in_places() * inner_.channels * 4);
    }
    const int64_t taps = merge_ ? shape.kernel[0] * shape.kernel[1] : shape.taps(),
                  channels = shape.channels / shape.groups;
    packing_ =
        Packing(*set, shape.groups, shape.outputs / shape.groups, taps, merge_ ? shape.kernel[2] * channels : channels);
    offsets_ = Windows::offsets(inner_, merge_);
    if (shape.pads && !merge_) zeros_.assign(static_cast<size_t>(shape.channels), 0.f);
    reserve_weights();
    name = cat("cpu:product ", set->name);
  }

  size_t weight_bytes() const override { return packing_.bytes(); }
  void pack_weights(const float* w, float* to) const override { pack_columns(packing_, unpacked(w), to); }
  void run_last(const Run& r) const override {
    const float* x = r.x;
    if (merge_ && shape.pads) {
      float* larger = floats(r.scratch + surround_at_);
      surround(shape, inner_, x, larger);
      x = larger;
    }
    Product p{.set = set,
              .packing = packing_,
              .rows = shape.batch * shape.out_places(),
              .b = r.w,
              .bias = r.bias,
              .residual = r.residual,
              .y = r.y,
              .y_step = shape.outputs,
              .residual_step = shape.outputs,
              .finish = finish};
    multiply(p, Windows(inner_, x, zeros_.data(), merge_, offsets_));
  }

 private:
  ConvShape inner_;                                // of the surrounded image
  bool merge_ = false;                             // the windows' innermost dimension belongs to the depth
  size_t surround_at_ = 0;
  Packing packing_;
  std::vector<int64_t> offsets_;
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
// 1,
// AVX-512) and won nowhere by more than a twentieth, so that only gradients are left to it.
PlanPtr plan_conv(const Site& s) {
  if (!takes(s)) return nullptr;
  if (PlanPtr p = plan_depthwise(s)) return p;
  if (PlanPtr p = plan_winograd(s)) return p;
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
