// SPDX-License-Identifier: Apache-2.0
// weights_tools/isa/x86_64/sha256.cpp — SHA-256's rounds by SHA-NI.
#include <immintrin.h>

#include "engine/core/isa/x86_64/features.h"
#include "weights_tools/isa/sha256_rounds.h"

namespace fovea::sha256_rounds {
namespace {

// The processor's own rounds, four at a time; it keeps a, b, e, f in one register and c, d, g, h in the other.
__attribute__((target("sha,sse4.1"))) void blocks(State& state, const uint8_t* block, size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const auto at = [](const uint32_t* p) { return reinterpret_cast<const __m128i*>(p); };
  const __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128(at(state.data())), 0xB1),
                hgfe = _mm_shuffle_epi32(_mm_loadu_si128(at(state.data() + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xF0);
  for (; count > 0; --count, block += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 16; ++i) {
      __m128i& now = w[i % 4];
      if (i < 4) {
        now = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i), big_endian);
      } else {
        const __m128i b = w[(i + 1) % 4], c = w[(i + 2) % 4], d = w[(i + 3) % 4];
        now = _mm_add_epi32(_mm_sha256msg1_epu32(now, b), _mm_alignr_epi8(d, c, 4));
        now = _mm_sha256msg2_epu32(now, d);
      }
      const __m128i add = _mm_add_epi32(now, _mm_load_si128(at(kRound + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, add);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(add, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  const auto to = [&](int i) { return reinterpret_cast<__m128i*>(state.data() + i); };
  _mm_storeu_si128(to(0), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(to(4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace

Blocks fast() {
  using x86_64::Feature, x86_64::has;
  return has(Feature::sha) && has(Feature::sse41) ? blocks : nullptr;
}

}  // namespace fovea::sha256_rounds
