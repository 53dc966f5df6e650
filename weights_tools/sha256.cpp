// SPDX-License-Identifier: Apache-2.0
// weights_tools/sha256.cpp — libcrypto has the same, but costs each start of a process 5 ms to load and set up.
#include "weights_tools/sha256.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "engine/core/backend.h"
#include "weights_tools/isa/sha256_rounds.h"

namespace fovea {
namespace {

using sha256_rounds::kRound;
using sha256_rounds::State;
constexpr size_t kBlock = 64;

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

}  // namespace

void Sha256::take(const uint8_t* blocks, size_t count) {
  static const sha256_rounds::Blocks fast = sha256_rounds::fast();
  (fast && !plain_ ? fast : plain_blocks)(state_, blocks, count);
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
