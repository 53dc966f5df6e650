// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention/bf16_attention.cpp — softmax(scale q k^T + mask) v in bf16: scores and their softmax in f32,
// both products of pairs.
#include <algorithm>
#include <utility>

#include "engine/ops/ops.h"
#include "kernels/cpu/attention/heads_plan.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

class Bf16Attention final : public HeadsPlan {
 public:
  explicit Bf16Attention(const Site& s) : HeadsPlan(s) {
    scores_ = pair_packing(1, keys_, 1, depth_);
    values_ = pair_packing(1, s.result().shape.back(), 1, keys_);
    rows_ = std::min(queries_, kRows);
    // Few heads: several pieces of each, every one with its own packed copy.
    pieces_ = std::clamp<int64_t>(8 / std::max<int64_t>(heads_, 1), 1, std::max<int64_t>(queries_ / (4 * kRows), 1));
    name = str_cat("cpu:attention ", on_->bf16_tiles->name);
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
    float *scores, *sums;
    bfloat16* weights;
  };
  static int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }
  int64_t line() const { return padded(keys_); }
  int64_t key_floats() const { return padded(static_cast<int64_t>(scores_.bytes() / sizeof(Pair))); }
  int64_t value_floats() const { return padded(static_cast<int64_t>(values_.bytes() / sizeof(Pair))); }
  size_t buffer_floats() const {
    return static_cast<size_t>(key_floats() + value_floats() +
                               rows_ * (line() + line() / 2 + padded(values_.columns)));
  }
  Buffers buffers(float* at) const {
    const auto take = [&](int64_t count) { return std::exchange(at, at + count); };
    return {.keys = reinterpret_cast<Pair*>(take(key_floats())),
            .values = reinterpret_cast<Pair*>(take(value_floats())),
            .scores = take(rows_ * line()),
            .sums = take(rows_ * padded(values_.columns)),
            .weights = reinterpret_cast<bfloat16*>(at)};
  }

  void head(const Args& a, int64_t index, int64_t first, int64_t last) const {
    const ThreadArray<float> lent(buffer_floats());
    const Buffers b = buffers(lent.data());
    const bfloat16 *const q = halves(a.in[0]) + q_.start(sizes_, index),
                   *const k = halves(a.in[1]) + k_.start(sizes_, index),
                   *const v = halves(a.in[2]) + v_.start(sizes_, index);
    if (k_.column == 1) on_->bf16->pack_keys(scores_, k, k_.row, depth_, b.keys);
    else pack(scores_, k, k_.row, k_.column, depth_, b.keys);
    if (v_.column == 1) on_->bf16->pack_values(values_, v, v_.row, keys_, b.values);
    else pack(values_, v, v_.column, v_.row, keys_, b.values);
    bfloat16* const y = halves(a.out[0]) + y_.start(sizes_, index);
    const std::byte* const mask = mask_of(a, index);
    const int64_t parts = (last - first + rows_ - 1) / rows_;
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t row = first + (last - first) * i / parts, end = first + (last - first) * (i + 1) / parts;
      rows(b, q + row * q_.row, mask, row, end - row, y + row * y_.row);
    }
  }

  static void pack(const Packing& p, const bfloat16* w, int64_t column, int64_t step, int64_t depth, Pair* to) {
    pack_pairs(p, {.w = w, .column = column, .depth = step, .taps = {0, 0, 0}, .sizes = {1, 1, 1}, .elements = depth,
                   .inner = std::max<int64_t>(1, depth)},
               to);
  }

  void rows(const Buffers& b, const bfloat16* q, const std::byte* mask, int64_t row, int64_t count,
            bfloat16* y) const {
    const int64_t columns = values_.columns;
    times(q, q_.row, scores_, depth_, b.keys, b.scores, line(), count);
    float shares[kRows];
    on_->bf16->weights({.scores = b.scores,
                     .weights = b.weights,
                     .step = line(),
                     .shares = shares,
                     .added = mask_type_ == DType::bf16 ? halves(mask) + row * mask_.row : nullptr,
                     .allowed = mask_type_ == DType::boolean ? reinterpret_cast<const uint8_t*>(mask) + row * mask_.row
                                                             : nullptr,
                     .mask_step = mask_.row * static_cast<int64_t>(size_of(mask_type_)),
                     .scale = attrs_.scale,
                     .rows = count,
                     .keys = keys_,
                     .seen = attrs_.causal ? row + 1 : keys_,
                     .more = attrs_.causal ? 1 : 0});
    times(b.weights, line(), values_, keys_, b.values, b.sums, padded(columns), count);
    on_->bf16->share({.sums = b.sums,
                   .shares = shares,
                   .y = y,
                   .sums_step = padded(columns),
                   .y_step = y_.row,
                   .rows = count,
                   .columns = columns});
  }

  void times(const bfloat16* a, int64_t a_step, const Packing& packing, int64_t depth, const Pair* b, float* y,
             int64_t y_step, int64_t count) const {
    const Bf16Product p{.on = on_, .packing = packing, .rows = count, .depth = depth, .b = b, .wide = y,
                        .y_step = y_step};
    multiply(p, [&](int64_t first, int64_t n, const bfloat16** to, int64_t) {
      for (int64_t r = 0; r < n; ++r) to[r] = a + (first + r) * a_step;
    });
  }

  Packing scores_, values_;
  int64_t rows_, pieces_;
};

bool adjacent(const Meta& m) { return m.strides[m.rank() - 1] == 1 || m.shape.back() == 1; }

PlanPtr plan_sdpa(const Site& s) {
  const Meta& y = s.result();
  if (!processor().bf16 || y.dtype != DType::bf16 || y.numel() == 0 || s.operand(1).numel() == 0)
    return nullptr;
  for (int i = 0; i < 3; ++i)
    if (s.operand(i).dtype != DType::bf16) return nullptr;
  if (!adjacent(s.operand(0)) || !adjacent(y)) return nullptr;
  if (s.has(3)) {
    const Meta& mask = s.operand(3);
    if (mask.dtype != DType::bf16 && mask.dtype != DType::boolean) return nullptr;
    if (mask.rank() == 0 || mask.shape.back() != s.operand(1).dim(-2) || !adjacent(mask)) return nullptr;
  }
  return std::make_shared<Bf16Attention>(s);
}

constexpr Kernel table[] = {{&ops::sdpa, plan_sdpa}};

}  // namespace

std::span<const Kernel> bf16_attention_kernels() { return table; }

}  // namespace fovea::kernels::cpu
