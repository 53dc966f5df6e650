// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/product/matmul.cpp — linear layers and batched matrix products.
#include <algorithm>

#include "engine/ops/ops.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/product/product.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

class LinearPlan final : public Plan {
 public:
  explicit LinearPlan(const Site& s) : on_(&processor()), finish_(s.attrs<LinearAttrs>().epilogue) {
    const Meta &x = s.operand(0), &w = s.operand(1);
    depth_ = w.shape[1];
    packing_ = Packing(*on_->f32, 1, w.shape[0], 1, depth_);
    rows_ = depth_ ? x.numel() / depth_ : s.result().numel() / std::max<int64_t>(1, w.shape[0]);
    strides_ = w.strides;
    packed_ = s.is_constant(1);
    residual_ = s.attrs<LinearAttrs>().epilogue.residual ? static_cast<int>(s.in.size()) - 1 : -1;
    if (!packed_) scratch = packing_.bytes();
    name = str_cat("cpu:product ", on_->f32->name);
  }

  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *w = floats(a.in[1]);
    if (!packed_) {
      pack(1, a.in[1], a.scratch);
      w = floats(a.scratch);
    }
    const Product p{.on = on_,
                    .packing = packing_,
                    .rows = rows_,
                    .b = w,
                    .bias = floats(a.in[2]),
                    .residual = residual_ >= 0 ? floats(a.in[residual_]) : nullptr,
                    .y = floats(a.out[0]),
                    .y_step = packing_.columns,
                    .residual_step = packing_.columns,
                    .finish = finish_};
    multiply(p, [&](int64_t first, int64_t count, const float** to, int64_t) {
      for (int64_t r = 0; r < count; ++r) to[r] = x + (first + r) * depth_;
    });
  }

  size_t packed_bytes(int operand) const override { return operand == 1 ? packing_.bytes() : 0; }
  void pack(int operand, const std::byte* in, std::byte* out) const override {
    if (operand == 1)
      pack_columns(
          packing_,
          {.w = floats(in), .column = strides_[0], .depth = strides_[1], .taps = {0, 0, 0}, .sizes = {1, 1, 1}},
          floats(out));
  }

 private:
  const Processor* on_;
  Finish finish_;
  Packing packing_;
  int64_t rows_, depth_;
  Strides strides_;
  bool packed_;
  int residual_;
};

PlanPtr plan_linear(const Site& s) {
  const Epilogue& e = s.attrs<LinearAttrs>().epilogue;
  if (!all_f32(s) || !loops().has_unary(e.act)) return nullptr;
  if (!lies_as(s.operand(0), Memory::contiguous) || !lies_as(s.result(), Memory::contiguous)) return nullptr;
  if (s.has(2) && s.operand(2).shape[0] > 1 && s.operand(2).strides[0] != 1) return nullptr;
  if (e.residual && !lies_as(s.in.back(), Memory::contiguous)) return nullptr;
  return std::make_shared<LinearPlan>(s);
}

// One side of a product: matrices with two strides, and where each of the batch starts.
struct Side {
  int64_t row, column;                             // strides
  Strides batch;                                   // 0 where broadcast
};
Side side_of(const Meta& m, bool transposed, int batch_rank) {
  const int n = m.rank();
  Side s{m.strides[n - 2], m.strides[n - 1], Dims::filled(batch_rank, 0)};
  if (transposed) std::swap(s.row, s.column);
  for (int i = 0; i < n - 2; ++i)
    if (m.shape[i] != 1) s.batch[batch_rank - (n - 2) + i] = m.strides[i];
  return s;
}
int64_t start_of(const Strides& strides, const Shape& sizes, int64_t index) {
  int64_t at = 0;
  for (int i = strides.size() - 1; i >= 0; --i) {
    at += index % sizes[i] * strides[i];
    index /= sizes[i];
  }
  return at;
}

class MatmulPlan final : public Plan {
 public:
  explicit MatmulPlan(const Site& s) : on_(&processor()) {
    const auto& attrs = s.attrs<MatmulAttrs>();
    const Meta& y = s.result();
    const int lead = y.rank() - 2;
    sizes_ = Shape(y.shape.begin(), y.shape.begin() + lead);
    batch_ = numel(sizes_);
    a_ = side_of(s.operand(0), attrs.transpose_a, lead);
    b_ = side_of(s.operand(1), attrs.transpose_b, lead);
    rows_ = y.shape[lead];
    const Meta& a = s.operand(0);
    depth_ = attrs.transpose_a ? a.shape[a.rank() - 2] : a.shape.back();
    packing_ = Packing(*on_->f32, 1, y.shape.back(), 1, depth_);
    scale_ = attrs.scale;
    shared_b_ = std::all_of(b_.batch.begin(), b_.batch.end(), [](int64_t step) { return step == 0; });
    name = str_cat("cpu:product ", on_->f32->name);
  }

  // Many small products: one thread each. Few large ones: all threads on each.
  void run(const Args& a, Stream&) const override {
    const auto one = [&](int64_t i, bool packed) {
      one_product(floats(a.in[0]) + start_of(a_.batch, sizes_, i), floats(a.in[1]) + start_of(b_.batch, sizes_, i),
                  floats(a.out[0]) + i * rows_ * packing_.columns, packed);
    };
    if (batch_ < 2 * threads_here()) {
      for (int64_t i = 0; i < batch_; ++i) one(i, shared_b_ && i > 0);
      return;
    }
    parallel_for(batch_, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) one(i, shared_b_ && i > first);
    });
  }

 private:
  void one_product(const float* a, const float* b, float* y, bool packed) const {
    const size_t b_floats = packing_.bytes() / 4;
    const bool turn = a_.column != 1 && depth_ > 1;
    const ThreadArray<float> lent(b_floats + (turn ? static_cast<size_t>(rows_ * depth_) : 0));
    float* const buffer = lent.data();
    if (!packed) {
      pack_columns(packing_, {.w = b, .column = b_.column, .depth = b_.row, .taps = {0, 0, 0}, .sizes = {1, 1, 1}},
                   buffer);
      if (scale_ != 1) on_->f32->unary(Unary::affine, scale_, 0, buffer, buffer, static_cast<int64_t>(b_floats));
    }
    int64_t a_row = a_.row;
    if (turn) {
      float* dense = buffer + b_floats;
      for (int64_t d = 0; d < depth_; ++d)
        for (int64_t r = 0; r < rows_; ++r) dense[r * depth_ + d] = a[r * a_.row + d * a_.column];
      a = dense;
      a_row = depth_;
    }
    const Product p{.on = on_, .packing = packing_, .rows = rows_, .b = buffer, .y = y, .y_step = packing_.columns,
                    .finish = Finish(Epilogue{})};
    multiply(p, [&](int64_t first, int64_t count, const float** to, int64_t) {
      for (int64_t r = 0; r < count; ++r) to[r] = a + (first + r) * a_row;
    });
  }

  const Processor* on_;
  Side a_, b_;
  Shape sizes_;
  Packing packing_;
  int64_t batch_, rows_, depth_;
  float scale_;
  bool shared_b_;
};

PlanPtr plan_matmul(const Site& s) {
  if (!all_f32(s) || !lies_as(s.result(), Memory::contiguous) || s.result().numel() == 0) return nullptr;
  return std::make_shared<MatmulPlan>(s);
}

constexpr Kernel table[] = {{&ops::linear, plan_linear, accepts_own}, {&ops::matmul, plan_matmul}};

}  // namespace

std::span<const Kernel> matmul_kernels() { return table; }

}  // namespace fovea::kernels::cpu
