// SPDX-License-Identifier: Apache-2.0
// weights_tools/isa/aarch64/sha256.cpp — SHA-256's rounds by FEAT_SHA256.
#include <arm_neon.h>

#include "engine/core/isa/aarch64/features.h"
#include "weights_tools/isa/sha256_rounds.h"

namespace fovea::sha256_rounds {
namespace {

// Four rounds at a time; a, b, c, d are in one register and e, f, g, h in the other.
__attribute__((target("+crypto"))) void blocks(State& state, const uint8_t* block, size_t count) {
  uint32x4_t abcd = vld1q_u32(state.data()), efgh = vld1q_u32(state.data() + 4);
  for (; count > 0; --count, block += 64) {
    const uint32x4_t abcd_before = abcd, efgh_before = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 16; ++i) {
      uint32x4_t& now = w[i % 4];
      if (i < 4) now = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
      else now = vsha256su1q_u32(vsha256su0q_u32(now, w[(i + 1) % 4]), w[(i + 2) % 4], w[(i + 3) % 4]);
      const uint32x4_t add = vaddq_u32(now, vld1q_u32(kRound + 4 * i)), before = abcd;
      abcd = vsha256hq_u32(abcd, efgh, add);
      efgh = vsha256h2q_u32(efgh, before, add);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state.data(), abcd);
  vst1q_u32(state.data() + 4, efgh);
}

}  // namespace

Blocks fast() { return aarch64::has(aarch64::Feature::sha2) ? blocks : nullptr; }

}  // namespace fovea::sha256_rounds
