// SPDX-License-Identifier: Apache-2.0
// bench/isa/x86_64/loops.cpp — the most that x86-64 processors do, class by class.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "bench/isa/plain.h"
#include "bench/loops.h"
#include "engine/core/isa.h"
#include "engine/core/isa/x86_64/features.h"

namespace fovea::bench {
namespace {

using x86_64::Feature;
using x86_64::has;

bool has_avx2() { return isa_allowed(Isa::avx2) && machine_has(Isa::avx2); }
bool has_avx512() { return isa_allowed(Isa::avx512) && machine_has(Isa::avx512); }
bool has_avx512_bf16() { return has_avx512() && has(Feature::avx512bf16); }
bool has_avx512_vnni() { return has_avx512() && has(Feature::avx512vnni); }

[[gnu::target("avx2,fma")]] float avx2_f32(int64_t rounds) {
  const __m256 multiply = _mm256_set1_ps(kMultiply), add = _mm256_set1_ps(kAdd);
  __m256 sums[12];
  for (int i = 0; i < 12; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sums[i] = _mm256_fmadd_ps(sums[i], multiply, add);
  }
  float all = 0;
  for (const __m256& s : sums) all += _mm256_cvtss_f32(s);
  return all;
}

// Bytes in pairs to 16 bits, these in pairs to 32: three instructions for as many products as a vector has bytes. The
// sums are factors, too, so that nothing can be computed once for all rounds.
[[gnu::target("avx2")]] float avx2_i8(int64_t rounds) {
  const __m256i factor = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
  __m256i sums[12];
  for (int i = 0; i < 12; ++i) sums[i] = _mm256_set1_epi32(i);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i)
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(sums[i], factor), ones));
  }
  __m256i all = sums[0];
  for (int i = 1; i < 12; ++i) all = _mm256_add_epi32(all, sums[i]);
  return static_cast<float>(_mm256_extract_epi32(all, 0) | 1);
}

[[gnu::target("avx512f")]] float avx512_f32(int64_t rounds) {
  const __m512 multiply = _mm512_set1_ps(kMultiply), add = _mm512_set1_ps(kAdd);
  __m512 sums[24];
  for (int i = 0; i < 24; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) sums[i] = _mm512_fmadd_ps(sums[i], multiply, add);
  }
  float all = 0;
  for (const __m512& s : sums) all += _mm512_cvtss_f32(s);
  return all;
}

[[gnu::target("avx512f,avx512bf16")]] float avx512_bf16(int64_t rounds) {
  const __m512 ones = _mm512_set1_ps(1.0f);
  const __m512bh factor = _mm512_cvtne2ps_pbh(ones, ones);
  __m512 sums[24];
  for (int i = 0; i < 24; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], factor, factor);
  }
  float all = 0;
  for (const __m512& s : sums) all += _mm512_cvtss_f32(s);
  return all;
}

[[gnu::target("avx512f")]] uint64_t first_word(const __m512i& v) {
  uint64_t words[8];
  std::memcpy(words, &v, sizeof words);
  return words[0];
}

[[gnu::target("avx512f,avx512vnni")]] float avx512_i8(int64_t rounds) {
  const __m512i factor = _mm512_set1_epi8(1);
  __m512i sums[24];
  for (int i = 0; i < 24; ++i) sums[i] = _mm512_set1_epi32(i);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], factor, factor);
  }
  __m512i all = sums[0];
  for (int i = 1; i < 24; ++i) all = _mm512_add_epi32(all, sums[i]);
  return static_cast<float>(first_word(all));
}

[[gnu::target("avx2")]] uint64_t avx2_read(const std::byte* data, size_t bytes) {
  __m256i sums[4] = {};
  for (size_t i = 0; i < bytes; i += 128) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j)
      sums[j] = _mm256_xor_si256(sums[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(data + i + 32 * j)));
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0));
}

[[gnu::target("avx512f")]] uint64_t avx512_read(const std::byte* data, size_t bytes) {
  __m512i sums[4] = {};
  for (size_t i = 0; i < bytes; i += 256) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) sums[j] = _mm512_xor_si512(sums[j], _mm512_load_si512(data + i + 64 * j));
  }
  return first_word(_mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3])));
}

// Tiles of 16 rows by 64 bytes. Linux keeps their registers only for processes that asked for them.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = isa_allowed(Isa::avx512) && has(Feature::amx_tile) &&
                              syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}
bool has_amx_bf16() { return has(Feature::amx_bf16) && may_use_tiles(); }
bool has_amx_i8() { return has(Feature::amx_int8) && may_use_tiles(); }

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);
struct alignas(64) Tile {
  std::byte bytes[1024] = {};
};

// Tiles 0 to 3 are sums, 4 to 7 factors, as in a product that keeps a block of 2 x 2 tiles.
[[gnu::target("amx-tile")]] void load_amx_tiles(const Tile& factor) {
  const TileShapes shapes;
  asm volatile("" : : "r"(&shapes), "r"(&factor) : "memory");   // of either GCC 12's intrinsics read eight bytes
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, factor.bytes, 64);
  _tile_loadd(5, factor.bytes, 64);
  _tile_loadd(6, factor.bytes, 64);
  _tile_loadd(7, factor.bytes, 64);
}

[[gnu::target("amx-tile")]] float first_amx_sum() {
  Tile out;
  _tile_stored(0, out.bytes, 64);
  _tile_release();
  float value = 0;
  std::memcpy(&value, out.bytes, sizeof value);
  return value;
}

[[gnu::target("amx-tile,amx-bf16")]] float amx_bf16(int64_t rounds) {
  Tile half;                                       // bf16 0.5 is 0x3f00
  for (size_t i = 1; i < sizeof half.bytes; i += 2) half.bytes[i] = std::byte{0x3f};
  load_amx_tiles(half);
  for (int64_t r = 0; r < rounds; ++r) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return first_amx_sum();
}

[[gnu::target("amx-tile,amx-int8")]] float amx_i8(int64_t rounds) {
  Tile ones;
  for (std::byte& b : ones.bytes) b = std::byte{1};
  load_amx_tiles(ones);
  for (int64_t r = 0; r < rounds; ++r) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  return first_amx_sum();
}

constexpr Loop kLoops[] = {
    {"sse2", DType::f32, kPlainFlops, always, plain_f32},
    {"avx2", DType::f32, 12 * 8 * 2, has_avx2, avx2_f32},
    {"avx512", DType::f32, 24 * 16 * 2, has_avx512, avx512_f32},
    {"avx512_bf16", DType::bf16, 24 * 32 * 2, has_avx512_bf16, avx512_bf16},
    {"amx_bf16", DType::bf16, 4 * 16 * 16 * 32 * 2, has_amx_bf16, amx_bf16},
    {"avx2_i8", DType::i8, 12 * 32 * 2, has_avx2, avx2_i8},
    {"avx512_vnni", DType::i8, 24 * 64 * 2, has_avx512_vnni, avx512_i8},
    {"amx_int8", DType::i8, 4 * 16 * 16 * 64 * 2, has_amx_i8, amx_i8},
};

}  // namespace

std::span<const Loop> known_loops() { return kLoops; }

uint64_t read_all(const std::byte* data, size_t bytes) {
  if (has_avx512()) return avx512_read(data, bytes);
  if (has_avx2()) return avx2_read(data, bytes);
  return plain_read(data, bytes);
}

}  // namespace fovea::bench
