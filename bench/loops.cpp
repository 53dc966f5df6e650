// SPDX-License-Identifier: Apache-2.0
#include "bench/loops.h"

#include <cstring>
#include <vector>

#include "bench/isa/plain.h"

namespace fovea::bench {

// That they multiply by one is hidden from the compiler.
float plain_f32(int64_t rounds) {
  using Vector [[gnu::vector_size(16)]] = float;
  volatile float one = 1;
  const Vector multiply = Vector{} + one, add = Vector{} + kAdd;
  Vector p0 = add, p1 = add, p2 = add, p3 = add, p4 = add, p5 = add, s0 = add, s1 = add, s2 = add, s3 = add, s4 = add,
         s5 = add;
  for (int64_t r = 0; r < rounds; ++r) {
    p0 *= multiply, p1 *= multiply, p2 *= multiply, p3 *= multiply, p4 *= multiply, p5 *= multiply;
    s0 += add, s1 += add, s2 += add, s3 += add, s4 += add, s5 += add;
  }
  const Vector all = (p0 + p1 + p2 + p3 + p4 + p5) + (s0 + s1 + s2 + s3 + s4 + s5);
  return all[0];
}

// Reads with eight bytes at a time what compilers widen where they may.
uint64_t plain_read(const std::byte* data, size_t bytes) {
  uint64_t all = 0, word;
  for (size_t i = 0; i < bytes; i += sizeof word) {
    std::memcpy(&word, data + i, sizeof word);
    all ^= word;
  }
  return all;
}

std::span<const Loop* const> supported_loops() {
  static const std::vector<const Loop*> found = [] {
    std::vector<const Loop*> all;
    for (const Loop& l : known_loops())
      if (l.supported()) all.push_back(&l);
    return all;
  }();
  return found;
}

}  // namespace fovea::bench
