// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/bf16_attention.cpp — softmax(scale q k^T + mask) v in bf16: scores and their softmax in f32, both
// products of pairs.
#include <algorithm>
#include <limits>
#include <utility>

#include "engine/ops/ops.h"
#include "kernels/cpu/bf16_product.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/stack.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16Attention final : public Plan {
 public:
  explicit Bf16Attention(const Site& s) : loops_(&loops()), set_(bf16_set()), attrs_(s.attrs<AttentionAttrs>()) {
    const Meta& y = s.result();
    const int lead = y.rank() - 2;
    sizes_ = Shape(y.shape.begin(), y.shape.begin() + lead);
    heads_ = numel(sizes_);
    queries_ = y.shape[lead];
    keys_ = s.operand(1).dim(-2);
    depth_ = s.operand(0).shape.back();
    q_ = Stack(s.operand(0), lead);
    k_ = Stack(s.operand(1), lead);
    v_ = Stack(s.operand(2), lead);
    y_ = Stack(y, lead);
    scores_ = pair_packing(1, keys_, 1, depth_);
    values_ = pair_packing(1, y.shape.back(), 1, keys_);
    if (s.has(3)) {
      mask_ = Stack(s.operand(3), lead);
      mask_type_ = s.operand(3).dtype;
    }
    // Few heads: several pieces of each, every one with its own packed copy.
    pieces_ = std::clamp<int64_t>(8 / std::max<int64_t>(heads_, 1), 1, std::max<int64_t>(queries_ / (4 * kRows), 1));
    name = cat("cpu:attention ", set_->name);
  }

  void run(const Args& a, Stream&) const override {
    parallel_for(heads_ * pieces_, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        head(a, i / pieces_, queries_ * (i % pieces_) / pieces_, queries_ * (i % pieces_ + 1) / pieces_);
    });
  }

 private:
  static constexpr int64_t kRows = 96;             // of scores that live in the cache together

  // What one thread needs, in one buffer.
  struct Buffers {
    Pair *keys, *values;
    float *scores, *sums, *mask;
    bfloat16* shares;
  };
  static int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }
  Buffers buffers() const {
    const int64_t keys = padded(static_cast<int64_t>(scores_.bytes() / sizeof(Pair))),
                  values = padded(static_cast<int64_t>(values_.bytes() / sizeof(Pair))), line = padded(keys_),
                  sums = kRows * values_.columns;
    float* at =
        thread_buffer(static_cast<size_t>(keys + values + kRows * line + padded(sums) + line + kRows * line / 2));
    Buffers b{};
    const auto take = [&](int64_t count) { return std::exchange(at, at + count); };
    b.keys = reinterpret_cast<Pair*>(take(keys));
    b.values = reinterpret_cast<Pair*>(take(values));
    b.scores = take(kRows * line);
    b.sums = take(padded(sums));
    b.mask = take(line);
    b.shares = reinterpret_cast<bfloat16*>(take(kRows * line / 2));
    return b;
  }

  void head(const Args& a, int64_t index, int64_t first, int64_t last) const {
    const Buffers b = buffers();
    const bfloat16* const q = halves(a.in[0]) + q_.start(sizes_, index);
    pack(scores_, halves(a.in[1]) + k_.start(sizes_, index), k_.row, k_.column, depth_, b.keys);
    pack(values_, halves(a.in[2]) + v_.start(sizes_, index), v_.column, v_.row, keys_, b.values);
    bfloat16* const y = halves(a.out[0]) + y_.start(sizes_, index);
    const std::byte* const mask = mask_type_ == DType::none ? nullptr
                                  : a.in[3] + static_cast<size_t>(mask_.start(sizes_, index)) * size_of(mask_type_);
    for (int64_t row = first; row < last; row += kRows)
      rows(b, q + row * q_.row, mask, row, std::min(kRows, last - row), y + row * y_.row);
  }

  static void pack(const Packing& p, const bfloat16* w, int64_t column, int64_t step, int64_t depth, Pair* to) {
    pack_pairs(p, {.w = w, .column = column, .depth = step, .taps = {0, 0, 0}, .sizes = {1, 1, 1}, .elements = depth,
                   .inner = std::max<int64_t>(1, depth)},
               to);
  }

  void rows(const Buffers& b, const bfloat16* q, const std::byte* mask, int64_t row, int64_t count,
            bfloat16* y) const {
    const int64_t line = padded(keys_), columns = values_.columns;
    times(q, q_.row, scores_, depth_, b.keys, b.scores, line, count);
    float shares[kRows];
    for (int64_t r = 0; r < count; ++r) {
      float* const scores = b.scores + r * line;
      float scale = attrs_.scale;
      if (mask) scale = masked(scores, mask, row + r, scale, b.mask);
      if (attrs_.causal)
        std::fill(scores + std::min(row + r + 1, keys_), scores + keys_,
                  -std::numeric_limits<float>::infinity() * (scale < 0 ? -1.f : 1.f));
      shares[r] = 1.f / loops_->attention(scores, scale, keys_);
      loops_->to_bf16(scores, b.shares + r * line, keys_);
    }
    times(b.shares, line, values_, keys_, b.values, b.sums, columns, count);
    for (int64_t r = 0; r < count; ++r) {
      float* const sums = b.sums + r * columns;
      loops_->unary(Unary::affine, shares[r], 0, sums, sums, columns);
      loops_->to_bf16(sums, y + r * y_.row, columns);
    }
  }

  // Adds the mask to scaled scores; what scale is left to apply.
  float masked(float* scores, const std::byte* mask, int64_t row, float scale, float* wide) const {
    if (mask_type_ == DType::boolean) {
      const auto* m = reinterpret_cast<const uint8_t*>(mask) + row * mask_.row;
      const float never = scale < 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
      for (int64_t i = 0; i < keys_; ++i) scores[i] = m[i * mask_.column] ? scores[i] : never;
      return scale;
    }
    loops_->from_bf16(halves(mask) + row * mask_.row, wide, keys_);
    for (int64_t i = 0; i < keys_; ++i) scores[i] = scores[i] * scale + wide[i];
    return 1;
  }

  void times(const bfloat16* a, int64_t a_step, const Packing& packing, int64_t depth, const Pair* b, float* y,
             int64_t y_step, int64_t count) const {
    const Bf16Product p{.loops = loops_, .set = set_, .packing = packing, .rows = count, .depth = depth, .b = b,
                        .wide = y, .y_step = y_step};
    multiply(p, [&](int64_t first, int64_t n, const bfloat16** to, int64_t) {
      for (int64_t r = 0; r < n; ++r) to[r] = a + (first + r) * a_step;
    });
  }

  const Loops* loops_;
  const Bf16Set* set_;
  AttentionAttrs attrs_;
  Shape sizes_;
  Stack q_, k_, v_, y_, mask_;
  DType mask_type_ = DType::none;
  Packing scores_, values_;
  int64_t heads_, queries_, keys_, depth_, pieces_;
};

bool adjacent(const Meta& m) { return m.strides[m.rank() - 1] == 1 || m.shape.back() == 1; }

PlanPtr plan_sdpa(const Site& s) {
  const Meta& y = s.result();
  if (!bf16_set() || y.dtype != DType::bf16 || y.numel() == 0 || s.operand(1).numel() == 0) return nullptr;
  for (int i = 0; i < 3; ++i)
    if (s.operand(i).dtype != DType::bf16) return nullptr;
  if (!adjacent(s.operand(0)) || !adjacent(y)) return nullptr;
  if (s.has(3) && s.operand(3).dtype != DType::boolean) {
    const Meta& mask = s.operand(3);
    if (mask.dtype != DType::bf16 || mask.rank() == 0 || mask.shape.back() != s.operand(1).dim(-2) || !adjacent(mask))
      return nullptr;
  }
  return std::make_shared<Bf16Attention>(s);
}

constexpr Kernel table[] = {{&ops::sdpa, plan_sdpa}};

}  // namespace

std::span<const Kernel> bf16_attention_kernels() { return table; }

}  // namespace fovea::kernels::cpu
