// SPDX-License-Identifier: Apache-2.0
// weights_tools/sha256.cpp — libcrypto has the same, but costs each start of a process 5 ms to load and set up.
#include "weights_tools/sha256.h"

#include <algorithm>
#include <bit>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "engine/core/backend.h"

namespace fovea {
namespace {

using State = std::array<uint32_t, 8>;
constexpr size_t kBlock = 64;

alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void plain_blocks(State& state, const uint8_t* block, size_t count) {
  for (; count > 0; --count, block += kBlock) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i)
      w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 | uint32_t{block[4 * i + 2]} << 8 |
             block[4 * i + 3];
    for (int i = 16; i < 64; ++i) {
      const uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
      const uint32_t one =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
      const uint32_t two = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    const uint32_t add[] = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; ++i) state[i] += add[i];
  }
}

#if defined(__x86_64__)
// The processor's own rounds, four at a time; it keeps a, b, e, f in one register and c, d, g, h in the other.
__attribute__((target("sha,sse4.1"))) void sha_blocks(State& state, const uint8_t* block, size_t count) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const auto at = [](const uint32_t* p) { return reinterpret_cast<const __m128i*>(p); };
  const __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128(at(state.data())), 0xB1),
                hgfe = _mm_shuffle_epi32(_mm_loadu_si128(at(state.data() + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xF0);
  for (; count > 0; --count, block += kBlock) {
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

bool has_sha() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 19 & 1)) return false;           // SSE4.1
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}
#endif

}  // namespace

void Sha256::take(const uint8_t* blocks, size_t count) {
#if defined(__x86_64__)
  static const bool has = has_sha();
  if (has && !plain_) return sha_blocks(state_, blocks, count);
#endif
  plain_blocks(state_, blocks, count);
}

Sha256& Sha256::update(Bytes b) {
  const auto* at = reinterpret_cast<const uint8_t*>(b.data());
  size_t left = b.size();
  if (const size_t held = bytes_ % kBlock; held > 0) {
    const size_t more = std::min(left, kBlock - held);
    std::copy_n(at, more, block_.data() + held);
    at += more, left -= more, bytes_ += more;
    if (bytes_ % kBlock != 0) return *this;
    take(block_.data(), 1);
  }
  take(at, left / kBlock);
  std::copy_n(at + left / kBlock * kBlock, left % kBlock, block_.data());
  bytes_ += left;
  return *this;
}

Digest Sha256::finish() {
  const uint64_t bits = bytes_ * 8;
  std::array<uint8_t, 2 * kBlock> end{0x80};
  const size_t zeros = (kBlock + 56 - 1 - bytes_ % kBlock) % kBlock;   // between the first bit and the length
  for (size_t i = 0; i < 8; ++i) end[1 + zeros + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  update(std::as_bytes(std::span(end).first(1 + zeros + 8)));
  Digest out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  *this = Sha256(plain_);
  return out;
}

std::string hex(const Digest& d) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t b : d) text += {kDigits[b >> 4], kDigits[b & 15]};
  return text;
}

std::string sha256_tree(Bytes b) {
  constexpr size_t kPiece = size_t{1} << 20;
  std::vector<Digest> pieces((b.size() + kPiece - 1) / kPiece);
  on_host_threads(static_cast<int64_t>(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i)
      pieces[i] = Sha256().update(b.subspan(i * kPiece, std::min(kPiece, b.size() - i * kPiece))).finish();
  });
  std::string all;
  for (const Digest& d : pieces) all.append(reinterpret_cast<const char*>(d.data()), d.size());
  append_le(all, uint64_t{b.size()});
  return sha256(all);
}

}  // namespace fovea
