// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/arrange/mover.h"

#include <array>
#include <cstring>

#include "kernels/cpu/arrange/transpose.h"

namespace fovea::kernels::cpu {
namespace {

void move(const Walk& walk, size_t element, const std::byte* from, std::byte* to) {
  walk.each([&](const auto& at, int64_t n) {
    std::memcpy(to + static_cast<size_t>(at[0]) * element, from + static_cast<size_t>(at[1]) * element,
                static_cast<size_t>(n) * element);
  });
}

// One element of type T after the other, where a side has gaps or runs backwards.
template <class T>
void move_apart(const Walk& walk, const std::byte* from, std::byte* to) {
  const int64_t apart = walk.step(0), next = walk.step(1);
  walk.each([&](const auto& at, int64_t n) {
    T* y = reinterpret_cast<T*>(to) + at[0];
    const T* x = reinterpret_cast<const T*>(from) + at[1];
    for (int64_t i = 0; i < n; ++i) y[i * apart] = x[i * next];
  });
}

}  // namespace

Mover::Mover(const Meta& from, const Meta& to) : walk_({&to, &from}), element_(size_of(to.dtype)) {
  apart_ = walk_.inner() > 1 && (walk_.step(0) != 1 || walk_.step(1) < 0);
  if (walk_.inner() == 1 || apart_ || walk_.step(1) == 1) {
    possible_ = true;
    return;
  }
  for (int i = 0; i < walk_.outer(); ++i)
    if (walk_.outer_step(1, i) == 1) row_ = i;
  possible_ = row_ >= 0;
}

void Mover::operator()(const std::byte* from, std::byte* to) const {
  if (apart_ && element_ == 1) return move_apart<uint8_t>(walk_, from, to);
  if (apart_ && element_ == 2) return move_apart<uint16_t>(walk_, from, to);
  if (apart_ && element_ == 4) return move_apart<uint32_t>(walk_, from, to);
  if (apart_) return move_apart<uint64_t>(walk_, from, to);
  if (row_ < 0) return move(walk_, element_, from, to);
  turn(from, to);
}

// The dimension that is fastest in `from` and the one that is fastest in `to` make matrices; what is left are batches
// of them.
void Mover::turn(const std::byte* from, std::byte* to) const {
  std::array<int, Dims::kMax> others;
  size_t count = 0;
  for (int i = 0; i < walk_.outer(); ++i)
    if (i != row_) others[count++] = i;
  Transpose t{.batch = 1,
              .rows = walk_.inner(),
              .columns = walk_.outer_size(row_),
              .from_batch = 0,
              .from_row = walk_.step(1),
              .to_batch = 0,
              .to_column = walk_.outer_step(0, row_)};
  if (count > 0) {
    const int b = others[--count];
    t.batch = walk_.outer_size(b);
    t.from_batch = walk_.outer_step(1, b);
    t.to_batch = walk_.outer_step(0, b);
  }
  int64_t total = 1;
  for (size_t i = 0; i < count; ++i) total *= walk_.outer_size(others[i]);
  for (int64_t k = 0; k < total; ++k) {
    int64_t rest = k, f = 0, o = 0;
    for (size_t i = 0; i < count; ++i) {
      const int64_t index = rest % walk_.outer_size(others[i]);
      rest /= walk_.outer_size(others[i]);
      f += index * walk_.outer_step(1, others[i]);
      o += index * walk_.outer_step(0, others[i]);
    }
    transpose(t, element_, from + static_cast<size_t>(f) * element_, to + static_cast<size_t>(o) * element_);
  }
}

}  // namespace fovea::kernels::cpu
