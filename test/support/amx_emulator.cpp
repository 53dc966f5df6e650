// SPDX-License-Identifier: Apache-2.0
#include "test/support/amx_emulator.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "test/support/vex.h"

namespace fovea::test {
namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

struct Tiles {
  uint8_t palette = 0, start_row = 0;
  uint16_t row_bytes[kTiles] = {};
  uint8_t rows[kTiles] = {};
  uint8_t data[kTiles][kRows][kRowBytes] = {};
};
thread_local Tiles tiles;
std::atomic<long> count{0};
struct sigaction before;

template <class T>
T read(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

bool load_config(const uint8_t* from) {
  Tiles t;
  t.palette = from[0];
  t.start_row = from[1];
  if (t.palette > 1) return false;
  if (t.palette == 1) {
    for (int i = 2; i < 16; ++i)
      if (from[i]) return false;
    for (int i = 0; i < 16; ++i) {
      const int bytes = read<uint16_t>(from + 16 + 2 * i), rows = from[48 + i];
      if (i >= kTiles ? bytes || rows : bytes > kRowBytes || rows > kRows || !bytes != !rows) return false;
      if (i < kTiles) t.row_bytes[i] = static_cast<uint16_t>(bytes), t.rows[i] = static_cast<uint8_t>(rows);
    }
  }
  tiles = t;
  return true;
}

void store_config(uint8_t* to) {
  std::memset(to, 0, 64);
  to[0] = tiles.palette;
  to[1] = tiles.start_row;
  for (int i = 0; i < kTiles; ++i) {
    std::memcpy(to + 16 + 2 * i, &tiles.row_bytes[i], 2);
    to[48 + i] = tiles.rows[i];
  }
}

bool usable(int tile) { return tile < kTiles && tiles.palette == 1 && tiles.rows[tile] > 0; }

void load(int tile, const VexInstruction& d) {
  std::memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
  for (uint64_t r = 0; r < tiles.rows[tile]; ++r)
    std::memcpy(tiles.data[tile][r], reinterpret_cast<const void*>(d.address + r * d.stride), tiles.row_bytes[tile]);
}
void store(int tile, const VexInstruction& d) {
  for (uint64_t r = 0; r < tiles.rows[tile]; ++r)
    std::memcpy(reinterpret_cast<void*>(d.address + r * d.stride), tiles.data[tile][r], tiles.row_bytes[tile]);
}

// Even and odd elements of the depth have sums of their own, which meet at the end. Numbers too small to be normal are
// zero, as operands and as results: so does AVX-512, which is asked for it until the handler returns.
__attribute__((target("avx512f,avx512bw"))) void dot_bf16(int to, int a, int b) {
  constexpr unsigned kFlush = 0x8040;
  _mm_setcsr(_mm_getcsr() | kFlush);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const auto some = static_cast<__mmask16>((1u << (tiles.row_bytes[to] / 4)) - 1);
  for (int m = 0; m < tiles.rows[to]; ++m) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int k = 0; k < tiles.row_bytes[a] / 4; ++k) {
      const __m512i x = _mm512_set1_epi32(read<int>(&tiles.data[a][m][4 * k])),
                    y = _mm512_loadu_si512(tiles.data[b][k]);
      even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, x, 16)),
                             _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, y, 16)), even);
      odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                            _mm512_castsi512_ps(_mm512_and_si512(y, upper)), odd);
    }
    uint8_t* const sums = tiles.data[to][m];
    _mm512_mask_storeu_ps(sums, some, _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_add_ps(even, odd)));
  }
}

template <class X, class Y>
void dot_bytes(int to, int a, int b) {
  for (int m = 0; m < tiles.rows[to]; ++m)
    for (int n = 0; n < tiles.row_bytes[to] / 4; ++n) {
      auto sum = read<uint32_t>(&tiles.data[to][m][4 * n]);
      for (int k = 0; k < tiles.row_bytes[a]; ++k)
        sum += static_cast<uint32_t>(static_cast<X>(tiles.data[a][m][k]) *
                                     static_cast<Y>(tiles.data[b][k / 4][4 * n + k % 4]));
      std::memcpy(&tiles.data[to][m][4 * n], &sum, sizeof sum);
    }
}

bool dot(const VexInstruction& d) {
  const int to = d.reg, a = d.rm, b = d.vvvv;
  if (d.mod != 3 || b >= kTiles || to == a || to == b || a == b) return false;
  for (const int t : {to, a, b})
    if (!usable(t)) return false;
  if (tiles.rows[to] != tiles.rows[a] || tiles.row_bytes[to] != tiles.row_bytes[b] ||
      tiles.row_bytes[a] != 4 * tiles.rows[b])
    return false;
  if (d.opcode == 0x5c) {
    if (d.prefix != 2) return false;
    dot_bf16(to, a, b);
    return true;
  }
  switch (d.prefix) {
    case 0: dot_bytes<uint8_t, uint8_t>(to, a, b); return true;
    case 1: dot_bytes<uint8_t, int8_t>(to, a, b); return true;
    case 2: dot_bytes<int8_t, uint8_t>(to, a, b); return true;
    default: dot_bytes<int8_t, int8_t>(to, a, b); return true;
  }
}

bool configure(const VexInstruction& d) {
  if (d.mod == 3) {
    if (d.prefix == 0 && d.reg == 0 && d.rm == 0) tiles = Tiles{};             // TILERELEASE
    else if (d.prefix == 3 && usable(d.reg)) std::memset(tiles.data[d.reg], 0, sizeof tiles.data[d.reg]);   // TILEZERO
    else return false;
    return true;
  }
  if (d.reg != 0) return false;
  const uint64_t address = d.address + d.stride;                               // an index is no stride here
  if (d.prefix == 0) return load_config(reinterpret_cast<const uint8_t*>(address));
  if (d.prefix == 1) store_config(reinterpret_cast<uint8_t*>(address));
  return d.prefix == 1;
}

bool move(const VexInstruction& d) {
  if (d.mod == 3 || d.rm != 4 || !usable(d.reg)) return false;
  if (d.prefix == 1 || d.prefix == 3) load(d.reg, d);                          // TILELOADDT1, TILELOADD
  else if (d.prefix == 2) store(d.reg, d);
  else return false;
  return true;
}

bool carry_out(const VexInstruction& d) {
  switch (d.opcode) {
    case 0x49: return configure(d);
    case 0x4b: return move(d);
    case 0x5c:
    case 0x5e: return dot(d);
    default: return false;
  }
}

void refused(int, siginfo_t*, void* context) {
  auto& c = *static_cast<ucontext_t*>(context);
  VexInstruction d;
  if (decode(c, d) && !d.wide && carry_out(d)) {
    c.uc_mcontext.gregs[REG_RIP] += d.length;
    count.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  ::sigaction(SIGILL, &before, nullptr);           // which then meets the same instruction
}

}  // namespace

AmxEmulator::AmxEmulator() {
  struct sigaction mine {};
  mine.sa_sigaction = refused;
  mine.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigemptyset(&mine.sa_mask);
  ::sigaction(SIGILL, &mine, &before);
}
AmxEmulator::~AmxEmulator() { ::sigaction(SIGILL, &before, nullptr); }
long AmxEmulator::carried_out() { return count.load(std::memory_order_relaxed); }

}  // namespace fovea::test
#else
namespace fovea::test {
AmxEmulator::AmxEmulator() = default;
AmxEmulator::~AmxEmulator() = default;
long AmxEmulator::carried_out() { return 0; }
}  // namespace fovea::test
#endif

namespace fovea::test {

std::optional<kernels::cpu::Processor> emulated_amx() {
  if (kernels::cpu::processor().name != std::string_view("avx512_bf16")) return {};
  kernels::cpu::Processor amx = kernels::cpu::known_kinds().front().record();
  amx.caches = kernels::cpu::caches();
  return amx;
}

}  // namespace fovea::test
