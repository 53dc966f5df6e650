// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/bf16_attention.cpp — operands of attention packed in pairs, the softmax of its scores, its
// results rounded.
// Everything of the standard library is included before the target pragma, as in bf16_tile.cpp.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/isa/aarch64/sets.h"
#include "kernels/cpu/isa/target.h"
#include "kernels/cpu/product/product.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("arch=armv8.2-a+bf16")
namespace neon_bf16_attention {
#include "kernels/cpu/simd/neon_bf16.inc"
#include "kernels/cpu/simd/vector.inc"

// bits(d, c): element d of the depth of column c, both within the matrix.
template <class F>
FOVEA_INLINE void pack(const Packing& p, int64_t depth, const F& bits, Pair* to) {
  const int64_t panels = p.panels(), lines = p.lines();
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t width = panel + 1 < panels ? p.panel : p.last_width(), first = panel * p.panel;
    for (int64_t line = 0; line < lines; ++line, to += width)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t d = 2 * line;
        const bool given = first + c < p.columns;
        const Pair low = given && d < depth ? bits(d, first + c) : uint16_t{0},
                   high = given && d + 1 < depth ? bits(d + 1, first + c) : uint16_t{0};
        to[c] = low | high << 16;
      }
  }
}

enum class Mask : uint8_t { none, added, allowed };

// A vector of scores, the first `seen` of which are seen.
template <Mask kMask>
FOVEA_INLINE Floats score(const Bf16Weights& t, int64_t row, int64_t i, int64_t seen) {
  const Floats none = splat(-__builtin_inff());
  Floats s = load(t.scores + row * t.step + i) * t.scale;
  const bool whole = seen >= kLanes;
  const uint8_t* const mask =
      (kMask == Mask::added ? reinterpret_cast<const uint8_t*>(t.added) : t.allowed) + row * t.mask_step;
  if constexpr (kMask == Mask::added) {
    const auto* const from = reinterpret_cast<const bfloat16*>(mask) + i;
    s += whole ? load(from) : load_part(from, seen);
  }
  if constexpr (kMask == Mask::allowed) {
    const Floats may = whole ? load(mask + i) : load_part(mask + i, seen);
    s = may > 0.f ? s : none;
  }
  return whole ? s : first_of(s, seen, none);
}

// 2^x of x <= 0, and zero from -127 down: within 1e-7.
FOVEA_INLINE Floats power(Floats x) {
  const float magic = 12582912.f;                  // adding 1.5 * 2^23 leaves an integer in the low bits
  x = at_least(x, splat(-127.f));
  const Floats shifted = x + magic, r = x - (shifted - magic);
  Floats p = r * 1.326474794e-03f + 9.671512368e-03f;
  p = p * r + 5.550733679e-02f;
  p = p * r + 2.402224209e-01f;
  p = p * r + 6.931469776e-01f;
  p = p * r + 1.f;
  return p * as_floats((as_ints(shifted) << 23) + (127 << 23));
}

template <Mask kMask>
FOVEA_INLINE void weigh(const Bf16Weights& t, int64_t row) {
  const int64_t seen = t.seen_by(row);
  float* const x = t.scores + row * t.step;
  bfloat16* const y = t.weights + row * t.step;
  Floats most = splat(-__builtin_inff());
  for (int64_t i = 0; i < seen; i += kLanes) {
    const Floats s = score<kMask>(t, row, i, seen - i);
    store(x + i, s);
    most = FOVEA_MAX(most, s);
  }
  const float largest = vmaxvq_f32(most), top = largest == -__builtin_inff() ? 0.f : largest;
  Floats sum{};
  for (int64_t i = 0; i < seen; i += kLanes) {
    const Floats w = power((load(x + i) - top) * 1.44269504f);   // e^x = 2^(x / ln 2)
    store(y + i, w);
    sum += w;
  }
  for (int64_t i = (seen + kLanes - 1) / kLanes * kLanes; i < t.keys; i += kLanes) store(y + i, Floats{});
  const float all = sum_of(sum);
  t.shares[row] = all == 0.f ? 1.f : 1.f / all;
}
template <Mask kMask>
static void weigh_all(const Bf16Weights& t) {
  for (int64_t row = 0; row < t.rows; ++row) weigh<kMask>(t, row);
}

void pack_keys(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to) {
  pack(p, depth, [=](int64_t d, int64_t c) { return k[c * row_step + d].bits; }, to);
}
void pack_values(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to) {
  pack(p, keys, [=](int64_t d, int64_t c) { return v[d * row_step + c].bits; }, to);
}
void weights(const Bf16Weights& t) {
  (t.added ? weigh_all<Mask::added> : t.allowed ? weigh_all<Mask::allowed> : weigh_all<Mask::none>)(t);
}
void share(const Bf16Shared& t) {
  for (int64_t r = 0; r < t.rows; ++r)
    for (int64_t c = 0; c < t.columns; c += kLanes) {
      const Floats v = load(t.sums + r * t.sums_step + c) * t.shares[r];
      bfloat16* const to = t.y + r * t.y_step + c;
      if (t.columns - c >= kLanes) store(to, v);
      else store_part(to, t.columns - c, v);
    }
}
#undef FOVEA_INLINE
}  // namespace neon_bf16_attention
FOVEA_TARGET_END

}  // namespace fovea::kernels::cpu
