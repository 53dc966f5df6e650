// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/bf16_tile.cpp — the register tile of bf16 products: pairs multiplied and summed in f32 by
// BFDOT.
// Everything of the standard library is included before the target pragma: what it defines inline stays free of newer
// instructions.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/isa/aarch64/sets.h"
#include "kernels/cpu/isa/target.h"

namespace fovea::kernels::cpu {

FOVEA_TARGET("arch=armv8.2-a+bf16")
namespace neon_bf16_tile {
#include "kernels/cpu/simd/neon_bf16.inc"
#include "kernels/cpu/simd/vector.inc"

constexpr int kMostRows = 12, kMostVectors = 3, kWideRows = 8;   // three vectors leave registers for fewer rows

FOVEA_INLINE Floats times_pairs(Floats sum, uint32x4_t a, uint32x4_t b) {
  return vbfdotq_f32(sum, vreinterpretq_bf16_u32(a), vreinterpretq_bf16_u32(b));
}

// What becomes of sums: rows of `width`, in whole vectors.
__attribute__((noinline)) static void finish(const Bf16Tile& t, const float* sums, int64_t width) {
  for (int64_t r = 0; r < t.rows; ++r, sums += width)
    for (int64_t c = 0; c < t.columns; c += kLanes) {
      const int64_t left = t.columns - c, at = r * t.y_step + c;
      const bool whole = left >= kLanes;
      Floats v = load(sums + c);
      if (t.residual) {
        const bfloat16* const from = t.residual + r * t.residual_step + c;
        v += whole ? load(from) : load_part(from, left);
      }
      v = t.hard_swish ? v * clip(v + 3.f, 0.f, 6.f) * (1 / 6.f) : clip(v, t.lo, t.hi);
      if (t.y) whole ? store(t.y + at, v) : store_part(t.y + at, left, v);
      else whole ? store(t.wide + at, v) : store_part(t.wide + at, left, v);
    }
}

// Stepped: rows lie a_step apart, with one pointer per tap.
template <bool Stepped, int Rows, int Vectors>
__attribute__((noinline)) static void tile(const Bf16Tile& t) {
  Floats sum[Rows][Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const int64_t left = t.columns - v * kLanes;
    const Floats start = !t.bias          ? Floats{}
                         : left >= kLanes ? load(t.bias + v * kLanes)
                                          : load_part(t.bias + v * kLanes, left);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) sum[r][v] = start;
  }
  const Pair* b = t.b;
  const auto step = [&](const auto& read) __attribute__((always_inline)) {
    uint32x4_t column[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) column[v] = vld1q_u32(b + v * kLanes);
    b += Vectors * kLanes;
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const uint32x4_t value = vdupq_n_u32(read(r));
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] = times_pairs(sum[r][v], column[v], value);
    }
  };
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const bfloat16* a[Rows];
    for (int r = 0; r < Rows; ++r)
      a[r] = (Stepped ? t.a[tap] + r * t.a_step : t.a[tap * t.a_step + r]) + t.a_offset;
    for (int64_t k = 0; k + 1 < t.depth; k += 2)
      step([&](int r) {
        Pair pair;
        std::memcpy(&pair, a[r] + k, sizeof pair);
        return pair;
      });
    if (t.depth % 2)                               // what lies behind the last one is not ours
      step([&](int r) { return Pair{a[r][t.depth - 1].bits}; });
  }
  alignas(16) float sums[Rows * Vectors * kLanes];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(sums + (r * Vectors + v) * kLanes, sum[r][v]);
  finish(t, sums, Vectors * kLanes);
}

using Run = void (*)(const Bf16Tile&);
template <bool Stepped, int Vectors, int... Row>
constexpr Run run_of(int rows, std::integer_sequence<int, Row...>) {
  constexpr Run kOf[] = {tile<Stepped, Row + 1, Vectors>...};
  return kOf[rows - 1];
}
template <bool Stepped, int Vectors>
static void run_rows(const Bf16Tile& t) {
  constexpr int kMost = Vectors == kMostVectors ? kWideRows : kMostRows;
  run_of<Stepped, Vectors>(t.rows, std::make_integer_sequence<int, kMost>())(t);
}
// Rows that do not fit are two tiles.
template <bool Stepped>
static void run_wide(const Bf16Tile& t) {
  if (t.rows <= kWideRows) return run_rows<Stepped, kMostVectors>(t);
  Bf16Tile part = t;
  part.rows = t.rows / 2;
  run_rows<Stepped, kMostVectors>(part);
  if (Stepped) part.a_offset += part.rows * t.a_step;
  else part.a += part.rows;
  if (t.residual) part.residual += part.rows * t.residual_step;
  if (t.y) part.y += part.rows * t.y_step;
  else part.wide += part.rows * t.y_step;
  part.rows = t.rows - part.rows;
  run_rows<Stepped, kMostVectors>(part);
}
template <bool Stepped>
static void run_tile(const Bf16Tile& t) {
  if (t.columns <= kLanes) run_rows<Stepped, 1>(t);
  else if (t.columns <= 2 * kLanes) run_rows<Stepped, 2>(t);
  else run_wide<Stepped>(t);
}
#undef FOVEA_INLINE
}  // namespace neon_bf16_tile
FOVEA_TARGET_END

void bf16_stepped_tile(const Bf16Tile& t) { neon_bf16_tile::run_tile<true>(t); }

constinit const Bf16Set bf16_neon{.name = "neon_bf16",
                                  .rows = neon_bf16_tile::kMostRows,
                                  .panels_at_once = [](int) { return 1; },
                                  .tile = [](const Bf16Tile& t, int) { neon_bf16_tile::run_tile<false>(t); }};

}  // namespace fovea::kernels::cpu
