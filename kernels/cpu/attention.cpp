// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention.cpp — softmax(scale q k^T + mask) v: keys and values of a head are packed once, then a few rows
// of scores at a
// time live in the cache from their first product to their last.
#include <algorithm>
#include <limits>

#include "engine/ops/ops.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/stack.h"

namespace fovea::kernels::cpu {
namespace {

class AttentionPlan final : public Plan {
 public:
  explicit AttentionPlan(const Site& s) : set_(&loops()), attrs_(s.attrs<AttentionAttrs>()) {
    const Meta& y = s.result();
    const int lead = y.rank() - 2;
    sizes_ = Shape(y.shape.begin(), y.shape.begin() + lead);
    heads_ = numel(sizes_);
    queries_ = y.shape[lead];
    keys_ = s.operand(1).dim(-2);
    q_ = Stack(s.operand(0), lead);
    k_ = Stack(s.operand(1), lead);
    v_ = Stack(s.operand(2), lead);
    y_ = Stack(y, lead);
    scores_ = Packing(*set_, 1, keys_, 1, s.operand(0).shape.back());
    values_ = Packing(*set_, 1, y.shape.back(), 1, keys_);
    if (s.has(3)) {
      mask_ = Stack(s.operand(3), lead);
      mask_type_ = s.operand(3).dtype;
    }
    block_ = set_->tile_rows * 8;
    // Few heads: several pieces of each, every one with its own packed copy.
    pieces_ = std::clamp<int64_t>(8 / std::max<int64_t>(heads_, 1), 1, std::max<int64_t>(queries_ / (4 * block_), 1));
    name = cat("cpu:attention ", set_->name);
  }

  void run(const Args& a, Stream&) const override {
    parallel_for(heads_ * pieces_, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        head(a, i / pieces_, queries_ * (i % pieces_) / pieces_, queries_ * (i % pieces_ + 1) / pieces_);
    });
  }

 private:
  static size_t padded(int64_t n) { return static_cast<size_t>((n + 15) & ~int64_t{15}); }

  void head(const Args& a, int64_t index, int64_t first, int64_t last) const {
    const size_t k_floats = padded(static_cast<int64_t>(scores_.bytes() / 4)),
                 v_floats = padded(static_cast<int64_t>(values_.bytes() / 4));
    float* const keys = thread_buffer(k_floats + v_floats + static_cast<size_t>(block_) * padded(keys_));
    float *const values = keys + k_floats, *const scores = values + v_floats;
    const float* const q = floats(a.in[0]) + q_.start(sizes_, index);
    pack_columns(scores_, columns(floats(a.in[1]) + k_.start(sizes_, index), k_.row, k_.column), keys);
    pack_columns(values_, columns(floats(a.in[2]) + v_.start(sizes_, index), v_.column, v_.row), values);
    float* const y = floats(a.out[0]) + y_.start(sizes_, index);
    const std::byte* const mask = mask_type_ == DType::none ? nullptr
                                  : a.in[3] + static_cast<size_t>(mask_.start(sizes_, index)) * size_of(mask_type_);
    for (int64_t row = first; row < last; row += block_)
      rows(q + row * q_.row, keys, values, scores, y + row * y_.row, mask, row, std::min(block_, last - row));
  }

  static Unpacked columns(const float* w, int64_t column, int64_t depth) {
    return {.w = w, .column = column, .depth = depth, .taps = {0, 0, 0}, .sizes = {1, 1, 1}};
  }

  void rows(const float* q, const float* keys, const float* values, float* scores, float* y, const std::byte* mask,
            int64_t row, int64_t count) const {
    const auto step = static_cast<int64_t>(padded(keys_));
    times(q, q_.row, scores_, keys, scores, step, count);
    float shares[kMostRows];
    for (int64_t r = 0; r < count; ++r) {
      float* const line = scores + r * step;
      float scale = attrs_.scale;
      if (mask) scale = masked(line, mask, row + r, scale);
      if (attrs_.causal)
        std::fill(line + std::min(row + r + 1, keys_), line + keys_,
                  -std::numeric_limits<float>::infinity() * (scale < 0 ? -1.f : 1.f));
      shares[r] = 1.f / set_->attention(line, scale, keys_);
    }
    times(scores, step, values_, values, y, y_.row, count);
    for (int64_t r = 0; r < count; ++r)
      set_->unary(Unary::affine, shares[r], 0, y + r * y_.row, y + r * y_.row, values_.columns);
  }

  // Adds the mask to scaled scores; what scale is left to apply.
  float masked(float* line, const std::byte* mask, int64_t row, float scale) const {
    if (mask_type_ == DType::boolean) {
      const auto* m = reinterpret_cast<const uint8_t*>(mask) + row * mask_.row;
      const float never = scale < 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
      for (int64_t i = 0; i < keys_; ++i) line[i] = m[i * mask_.column] ? line[i] : never;
      return scale;
    }
    const float* m = floats(mask) + row * mask_.row;
    if (mask_.column == 1)
      for (int64_t i = 0; i < keys_; ++i) line[i] = line[i] * scale + m[i];
    else
      for (int64_t i = 0; i < keys_; ++i) line[i] = line[i] * scale + m[i * mask_.column];
    return 1;
  }

  void times(const float* a, int64_t a_step, const Packing& packing, const float* b, float* y, int64_t y_step,
             int64_t count) const {
    const Product p{
        .set = set_, .packing = packing, .rows = count, .b = b, .y = y, .y_step = y_step, .finish = Finish(Epilogue{})};
    multiply(p, [&](int64_t first, int64_t n, const float** to, int64_t) {
      for (int64_t r = 0; r < n; ++r) to[r] = a + (first + r) * a_step;
    });
  }

  static constexpr int64_t kMostRows = 128;
  const Loops* set_;
  AttentionAttrs attrs_;
  Shape sizes_;
  Stack q_, k_, v_, y_, mask_;
  DType mask_type_ = DType::none;
  Packing scores_, values_;
  int64_t heads_, queries_, keys_, block_, pieces_;
};

PlanPtr plan_sdpa(const Site& s) {
  const Meta &q = s.operand(0), &y = s.result();
  for (int i = 0; i < 3; ++i)
    if (s.operand(i).dtype != DType::f32) return nullptr;
  if (y.dtype != DType::f32 || y.numel() == 0 || s.operand(1).numel() == 0) return nullptr;
  if (q.strides[q.rank() - 1] != 1 && q.shape.back() != 1) return nullptr;
  if (y.strides[y.rank() - 1] != 1 && y.shape.back() != 1) return nullptr;
  if (s.has(3) && s.operand(3).dtype != DType::f32 && s.operand(3).dtype != DType::boolean) return nullptr;
  return std::make_shared<AttentionPlan>(s);
}

constexpr Kernel table[] = {{&ops::sdpa, plan_sdpa}};

}  // namespace

std::span<const Kernel> attention_kernels() { return table; }

}  // namespace fovea::kernels::cpu
