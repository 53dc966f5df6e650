// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/walk.h — one loop over several strided operands, in the order in which the first lies in memory,
// neighbours merged.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>

#include "engine/core/types.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

class Walk {
 public:
  static constexpr int kMost = 4;                  // operands
  /// Operands broadcast to the first one's shape as in NumPy. An absent one steps nowhere.
  explicit Walk(std::initializer_list<const Meta*> operands);

  int64_t inner() const { return inner_; }         // elements of one innermost run
  int64_t step(int operand) const { return steps_[operand]; }   // between elements of a run
  bool runs() const;                               // the first steps by 1 within a run, all others by 0 or 1?
  int outer() const { return loops_; }
  int64_t outer_size(int loop) const { return sizes_[loop]; }
  int64_t outer_step(int operand, int loop) const { return outer_[operand][loop]; }

  /// f(offsets, n) for pieces of runs, in parallel: offsets[i] is where operand i's piece starts, in elements.
  template <class F>
  void each(const F& f, int64_t grain = 16384) const {
    if (rows_ * inner_ == 0) return;
    const int64_t pieces = rows_ >= 64 ? 1 : at_least_one(inner_ / grain);
    const int64_t items = rows_ * pieces;
    parallel_for(items, at_least_one(grain * pieces / inner_), [&](int64_t first, int64_t last) {
      Position p = at(first / pieces);
      for (int64_t i = first, part = first % pieces; i < last; ++i) {
        const int64_t from = inner_ * part / pieces, to = inner_ * (part + 1) / pieces;
        std::array<int64_t, kMost> offsets;
        for (int o = 0; o < kMost; ++o) offsets[o] = p.offset[o] + from * steps_[o];
        f(offsets, to - from);
        if (++part == pieces) {
          part = 0;
          advance(p);
        }
      }
    });
  }

 private:
  struct Position {
    std::array<int64_t, kMost> offset{};
    std::array<int64_t, Dims::kMax> index{};
  };
  static constexpr int64_t at_least_one(int64_t n) { return n > 1 ? n : 1; }
  Position at(int64_t row) const;
  void advance(Position& p) const;

  int64_t rows_ = 1, inner_ = 1;
  int loops_ = 0;
  std::array<int64_t, kMost> steps_{};
  std::array<int64_t, Dims::kMax> sizes_{};        // from the slowest to the fastest
  std::array<std::array<int64_t, Dims::kMax>, kMost> outer_{};
};

}  // namespace fovea::kernels::cpu
