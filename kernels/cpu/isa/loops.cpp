// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa/loops.h"

#include <array>

namespace fovea::kernels::cpu {

extern const Loops loops_avx512_bf16, loops_avx512, loops_avx2, loops_sse2;   // loops_<instruction set>.cpp

std::span<const Loops* const> supported_loops() {
  struct Found {
    std::array<const Loops*, 4> at{};
    size_t count = 0;
    Found() {
      for (const Loops* l : {&loops_avx512_bf16, &loops_avx512, &loops_avx2, &loops_sse2})
        if (l->supported()) at[count++] = l;
    }
  };
  static const Found found;
  return {found.at.data(), found.count};
}

const Loops& loops() { return UseLoops::chosen() ? *UseLoops::chosen() : *supported_loops()[0]; }

}  // namespace fovea::kernels::cpu
