// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/mover.h — elements of any size copied between two layouts of one shape, in parallel.
#pragma once
#include <cstddef>

#include "kernels/cpu/arrange/walk.h"

namespace fovea::kernels::cpu {

/// Runs of adjacent elements, matrices turned over where the fastest dimensions of both sides differ, or elements
/// apart.
class Mover {
 public:
  Mover(const Meta& from, const Meta& to);         // of one shape and dtype; strides may be negative
  bool possible() const { return possible_; }      // else a dense copy has to come between
  void operator()(const std::byte* from, std::byte* to) const;

 private:
  void turn(const std::byte* from, std::byte* to) const;
  Walk walk_;
  size_t element_;
  int row_ = -1;
  bool possible_ = false, apart_ = false;
};

/// A part of `whole`, which has this shape.
inline Meta window(const Meta& whole, const Shape& shape) {
  Meta m = whole;
  m.shape = shape;
  return m;
}

}  // namespace fovea::kernels::cpu
