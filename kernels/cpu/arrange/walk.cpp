// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/arrange/walk.h"

#include <algorithm>

namespace fovea::kernels::cpu {
namespace {

struct Loop {
  int64_t size;
  std::array<int64_t, Walk::kMost> step;
};

int64_t broadcast_step(const Meta& m, int dims, int i) {
  const int at = i - (dims - m.rank());
  return at < 0 || m.shape[at] == 1 ? 0 : m.strides[at];
}

bool continues(const Loop& outer, const Loop& inner) {
  for (size_t o = 0; o < outer.step.size(); ++o)
    if (outer.step[o] != inner.step[o] * inner.size) return false;
  return true;
}

}  // namespace

Walk::Walk(std::initializer_list<const Meta*> operands) {
  const Meta& first = **operands.begin();
  std::array<Loop, Dims::kMax> loops;
  int count = 0;
  for (int i = 0; i < first.rank(); ++i) {
    if (first.shape[i] == 1) continue;
    Loop l{first.shape[i], {}};
    size_t o = 0;
    for (const Meta* m : operands) {
      if (m->present()) l.step[o] = broadcast_step(*m, first.rank(), i);
      ++o;
    }
    loops[count++] = l;
  }
  // std::stable_sort allocates, and conversions walk while plans run
  for (auto at = loops.begin(); at != loops.begin() + count; ++at)
    std::rotate(std::upper_bound(loops.begin(), at, *at, [](const Loop& a, const Loop& b) {
      return a.step[0] > b.step[0];
    }), at, at + 1);
  int merged = 0;
  for (int i = 0; i < count; ++i) {
    if (merged && continues(loops[merged - 1], loops[i])) {
      loops[i].size *= loops[merged - 1].size;
      loops[merged - 1] = loops[i];
    } else {
      loops[merged++] = loops[i];
    }
  }
  if (merged == 0) {
    if (first.numel() == 0) rows_ = 0;
    steps_.fill(1);
    return;
  }
  inner_ = loops[merged - 1].size;
  steps_ = loops[merged - 1].step;
  loops_ = merged - 1;
  for (int i = 0; i < loops_; ++i) {
    rows_ *= sizes_[i] = loops[i].size;
    for (int o = 0; o < kMost; ++o) outer_[o][i] = loops[i].step[o];
  }
}

bool Walk::runs() const {
  return steps_[0] == 1 && std::all_of(steps_.begin(), steps_.end(), [](int64_t s) { return s == 0 || s == 1; });
}

Walk::Position Walk::at(int64_t row) const {
  Position p;
  for (int i = loops_ - 1; i >= 0; --i) {
    p.index[i] = row % sizes_[i];
    row /= sizes_[i];
    for (int o = 0; o < kMost; ++o) p.offset[o] += p.index[i] * outer_[o][i];
  }
  return p;
}

void Walk::advance(Position& p) const {
  for (int i = loops_ - 1; i >= 0; --i) {
    for (int o = 0; o < kMost; ++o) p.offset[o] += outer_[o][i];
    if (++p.index[i] < sizes_[i]) return;
    for (int o = 0; o < kMost; ++o) p.offset[o] -= sizes_[i] * outer_[o][i];
    p.index[i] = 0;
  }
}

}  // namespace fovea::kernels::cpu
