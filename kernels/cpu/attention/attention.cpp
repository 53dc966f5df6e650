// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention/attention.cpp — softmax(scale q k^T + mask) v: the keys of a head are packed once, then
// the scores of a few queries at a time live in the nearest cache from their first product to their last.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/ops.h"
#include "kernels/cpu/attention/heads_plan.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

class AttentionPlan final : public HeadsPlan {
 public:
  explicit AttentionPlan(const Site& s) : HeadsPlan(s), set_(on_->f32), columns_(s.result().shape.back()) {
    // A single key behind whole vectors of them is used where it lies.
    const int64_t alone = keys_ % set_->lanes;
    packed_ = keys_ > set_->lanes && alone == 1 && (k_.column == 1 || depth_ == 1) ? keys_ - 1 : keys_;
    v_step_ = whole(columns_);
    if (columns_ == v_step_ && v_.column == 1 && v_.row * keys_ * 4 <= near_values()) v_step_ = v_.row;
    else copies_ = true;
    // Tiles pass by keys and values together: few where a near cache holds all of those, so that their scores stay
    // nearer.
    const int64_t near = near_scores() / (set_->queries * step() * 4);
    tiles_ = (whole(packed_) * depth_ + keys_ * v_step_) * 4 > cached() ? kMostTiles
                                                                        : std::clamp<int64_t>(near, 1, kMostTiles);
    // Few heads: several pieces of each, every one with its own packed copy.
    pieces_ = std::clamp<int64_t>(8 / std::max<int64_t>(heads_, 1), 1, std::max<int64_t>(queries_ / 128, 1));
    if (mask_type_ == DType::f32) scale_ = attrs_.scale, factor_ = 1;
    else scale_ = attrs_.scale < 0 ? -1.f : 1.f, factor_ = std::abs(attrs_.scale);
    factor_ *= 1.44269504f;                        // e^x = 2^(x / ln 2)
    name = str_cat("cpu:attention ", set_->name);
  }

  void run(const Args& a, Stream&) const override {
    parallel_for(heads_ * pieces_, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        head(a, i / pieces_, queries_ * (i % pieces_) / pieces_, queries_ * (i % pieces_ + 1) / pieces_);
    });
  }

 private:
  static constexpr int64_t kMostTiles = 12, kMostQueries = 8;
  // Bytes: of values that are read where they lie, of keys and values that stay near together, of panels of keys that
  // pass by several tiles, and of scores in the first cache.
  int64_t near_values() const { return on_->caches.second / 8; }
  int64_t cached() const { return on_->caches.second / 2; }
  int64_t near_panels() const { return on_->caches.second * 3 / 16; }
  int64_t near_scores() const { return on_->caches.first * 5 / 8; }

  // One piece of a head, with all of its operands.
  struct Piece {
    const float *q, *k, *v;
    float* y;
    const std::byte* mask;
    const float *keys, *values;                    // packed
    float* scores;
    int64_t first, last;
    int64_t row(int64_t tile, int64_t tiles) const { return first + (last - first) * tile / tiles; }
  };

  int64_t whole(int64_t n) const { return (n + set_->lanes - 1) / set_->lanes * set_->lanes; }
  int64_t step() const { return whole(keys_) + 16; }   // of scores; queries do not fall on the same lines of a cache
  // Of the columns left, as many as one tile takes: up to three vectors, but four are two by two.
  int64_t width(int64_t left) const {
    const int64_t vectors = (left + set_->lanes - 1) / set_->lanes;
    return (vectors == 4 ? 2 : std::min<int64_t>(vectors, 3)) * set_->lanes;
  }

  void head(const Args& a, int64_t index, int64_t first, int64_t last) const {
    const int64_t k_floats = (whole(packed_) * depth_ + 15) / 16 * 16,
                  v_floats = copies_ ? (v_step_ * keys_ + 15) / 16 * 16 : 0;
    const int64_t tiles = (last - first + set_->queries - 1) / set_->queries;
    const ThreadArray<float> lent(static_cast<size_t>(k_floats + v_floats + tiles_ * set_->queries * step()));
    float *const keys = lent.data(), *const values = keys + k_floats;
    Piece p{.q = floats(a.in[0]) + q_.start(sizes_, index),
            .k = floats(a.in[1]) + k_.start(sizes_, index),
            .v = floats(a.in[2]) + v_.start(sizes_, index),
            .y = floats(a.out[0]) + y_.start(sizes_, index),
            .mask = mask_of(a, index),
            .keys = keys,
            .values = values,
            .scores = values + v_floats,
            .first = first,
            .last = last};
    // Reading the keys takes the time that the rest needs to come near.
    if (!copies_)
      for (int64_t i = 0; i < keys_; ++i) fetch(p.v + i * v_.row, columns_);
    if ((last - first) * depth_ * 4 <= near_scores())
      for (int64_t i = first; i < last; ++i) fetch(p.q + i * q_.row, depth_);
    pack_keys(p.k, keys);
    if (copies_) copy_values(p.v, values);
    else p.values = p.v;
    for (int64_t tile = 0; tile < tiles; tile += tiles_) several(p, tile, std::min(tile + tiles_, tiles), tiles);
  }

  static void fetch(const float* x, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
  }

  void pack_keys(const float* k, float* to) const {
    for (int64_t at = 0, wide; at < packed_; at += wide, to += wide * depth_) {
      wide = width(packed_ - at);
      const int64_t given = std::min(wide, packed_ - at);
      const float* const from = k + at * k_.row;
      if (k_.column == 1) {
        set_->turn(from, k_.row, given, depth_, to, wide);
      } else {
        for (int64_t d = 0; d < depth_; ++d)
          for (int64_t i = 0; i < given; ++i) to[d * wide + i] = from[i * k_.row + d * k_.column];
      }
      for (int64_t d = 0; d < depth_ && given < wide; ++d) std::fill(to + d * wide + given, to + (d + 1) * wide, 0.f);
    }
  }

  void copy_values(const float* v, float* to) const {
    for (int64_t i = 0; i < keys_; ++i, v += v_.row, to += v_step_) {
      if (v_.column == 1) std::copy_n(v, columns_, to);
      else
        for (int64_t c = 0; c < columns_; ++c) to[c] = v[c * v_.column];
      std::fill(to + columns_, to + v_step_, 0.f);
    }
  }

  // Tiles [from, to) of the piece's.
  void several(const Piece& p, int64_t from, int64_t to, int64_t tiles) const {
    float shares[kMostTiles * kMostQueries];
    const int64_t start = p.row(from, tiles);
    const auto each = [&](const auto& f) {
      for (int64_t tile = from; tile < to; ++tile) {
        const int64_t row = p.row(tile, tiles);
        f(row, static_cast<int>(p.row(tile + 1, tiles) - row), p.scores + (row - start) * step());
      }
    };
    const int64_t together = std::max<int64_t>(near_panels() / (4 * depth_ + 1), 1);
    for (int64_t at = 0, next; at < packed_; at = next) {
      for (next = at + width(packed_ - at); next < packed_ && next - at < together;) next += width(packed_ - next);
      each([&](int64_t row, int rows, float* scores) { score(p, row, rows, scores, at, std::min(next, packed_)); });
    }
    each([&](int64_t row, int rows, float* scores) {
      if (packed_ < keys_) set_->attention_column(tile_of_scores(p, row, rows, scores, packed_));
      hide(p.mask, row, rows, scores);
      set_->attention_weights(scores, step(), rows, whole(keys_), factor_, shares + (row - start));
    });
    for (int64_t at = 0; at < columns_; at += width(columns_ - at))
      each([&](int64_t row, int rows, const float* scores) {
        set_->attention_tile({.a = scores,
                              .b = p.values + at,
                              .a_step = step(),
                              .b_step = v_step_,
                              .depth = keys_,
                              .gains = shares + (row - start),
                              .gains_step = 1,
                              .mask = nullptr,
                              .mask_step = 0,
                              .y = p.y + row * y_.row + at,
                              .y_step = y_.row,
                              .columns = std::min(width(columns_ - at), columns_ - at),
                              .rows = rows,
                              .scores = false});
      });
  }

  bool adds_rows() const { return mask_type_ == DType::f32 && (mask_.column == 1 || keys_ == 1); }

  AttentionTile tile_of_scores(const Piece& p, int64_t row, int rows, float* scores, int64_t at) const {
    return {.a = p.q + row * q_.row,
            .b = p.k + at * k_.row,
            .a_step = q_.row,
            .b_step = 0,
            .depth = depth_,
            .gains = &scale_,
            .gains_step = 0,
            .mask = adds_rows() ? floats(p.mask) + row * mask_.row + at : nullptr,
            .mask_step = mask_.row,
            .y = scores + at,
            .y_step = step(),
            .columns = 1,
            .rows = rows,
            .scores = true};
  }

  // Of packed keys [first, last).
  void score(const Piece& p, int64_t row, int rows, float* scores, int64_t first, int64_t last) const {
    for (int64_t at = first; at < last;) {
      AttentionTile t = tile_of_scores(p, row, rows, scores, at);
      const int64_t wide = width(packed_ - at);
      t.b = p.keys + at * depth_;
      t.b_step = wide;
      t.columns = std::min(wide, packed_ - at);
      set_->attention_tile(t);
      at += wide;
    }
  }

  // What masks do that are not added a row at a time.
  void hide(const std::byte* mask, int64_t row, int rows, float* scores) const {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    for (int64_t r = row; r < row + rows; ++r, scores += step()) {
      if (mask_type_ == DType::boolean) {
        const auto* m = reinterpret_cast<const uint8_t*>(mask) + r * mask_.row;
        for (int64_t i = 0; i < keys_; ++i) scores[i] = m[i * mask_.column] ? scores[i] : kNever;
      } else if (mask && !adds_rows()) {
        const float* m = floats(mask) + r * mask_.row;
        for (int64_t i = 0; i < keys_; ++i) scores[i] += m[i * mask_.column];
      }
      if (attrs_.causal) std::fill(scores + std::min(r + 1, keys_), scores + keys_, kNever);
    }
  }

  const Loops* set_;
  int64_t columns_;
  int64_t packed_, v_step_, tiles_, pieces_;
  bool copies_ = false;
  float scale_, factor_;                           // of scores before the mask, and of what is left to exponents
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
