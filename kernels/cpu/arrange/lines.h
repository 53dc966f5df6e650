// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/lines.h — the lines of a tensor along one axis, each a thread's.
#pragma once
#include <algorithm>

#include "kernels/cpu/arrange/walk.h"

namespace fovea::kernels::cpu {

/// What is left of m's dimensions.
inline Meta without(Meta m, int dim) {
  m.shape.erase(dim);
  m.strides.erase(dim);
  return m;
}

struct Lines {
  static constexpr int64_t kTogether = 64;         // neighbours whose state fits a near cache
  Walk others;
  int64_t size, along;                             // of x

  /// y: where the results of the lines go; x's dimensions without `dim`.
  Lines(const Meta& x, int dim, const Meta& y)
      : others(walk_of(y, without(x, dim))), size(x.shape[dim]), along(x.strides[dim]) {}
  int64_t x_step() const { return others.step(1); }          // from a line to its neighbour
  int64_t y_step() const { return others.step(0); }

  /// f(where in x, where in y, n) for n <= kTogether neighbours at a time.
  template <class F>
  void each(const F& f) const {
    others.each(
        [&](const auto& at, int64_t n) {
          for (int64_t i = 0; i < n; i += kTogether)
            f(at[1] + i * x_step(), at[0] + i * y_step(), std::min(kTogether, n - i));
        },
        std::max<int64_t>(1, 16384 / (size + 1)));
  }

 private:
  static Walk walk_of(const Meta& y, const Meta& x) { return Walk{&y, &x}; }
};

}  // namespace fovea::kernels::cpu
