// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/halves.cpp — dot products with weights in f16 for processors without an instruction for
// those: a block of weights is widened on the stack, then multiplied.
#include <algorithm>

#include "engine/core/types.h"
#include "kernels/cpu/isa/generic/sets.h"

namespace fovea::kernels::cpu {
namespace {

template <int Outputs>
void dots(const float* x, const uint16_t* w, int64_t depth, float* y) {
  constexpr int64_t kBlock = 256, kLanes = 8;
  for (int o = 0; o < Outputs; ++o, w += depth) {
    float sums[kLanes] = {}, wide[kBlock];
    for (int64_t from = 0; from < depth; from += kBlock) {
      const int64_t count = std::min(kBlock, depth - from);
      for (int64_t i = 0; i < count; ++i) wide[i] = to_float(float16{w[from + i]});
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes)
        for (int64_t k = 0; k < kLanes; ++k) sums[k] += x[from + i + k] * wide[i + k];
      for (; i < count; ++i) sums[i % kLanes] += x[from + i] * wide[i];
    }
    y[o] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  }
}

}  // namespace

constinit const HalfDots halves_plain{dots<HalfDots::kMany>, dots<1>};

}  // namespace fovea::kernels::cpu
