// SPDX-License-Identifier: Apache-2.0
#include "engine/core/checksum.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/backend.h"

namespace fovea {
namespace {

constexpr size_t kPiece = size_t{1} << 20;         // each is summed on its own, on whichever thread is free
constexpr size_t kLanes = 8;                       // so that multiplications need not wait for each other
constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;  // odd: multiplying loses nothing

uint64_t mix(uint64_t sum, uint64_t word) {
  sum = (sum ^ word) * kFactor;
  return sum ^ sum >> 29;
}

uint64_t of_piece(std::span<const std::byte> bytes, uint64_t seed) {
  uint64_t lanes[kLanes], words[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = seed + i;
  size_t at = 0;
  for (; at + sizeof words <= bytes.size(); at += sizeof words) {
    std::memcpy(words, bytes.data() + at, sizeof words);
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = (lanes[i] ^ words[i]) * kFactor;
    for (size_t i = 0; i < kLanes; ++i) lanes[i] ^= lanes[i] >> 29;
  }
  uint64_t sum = bytes.size();
  for (; at < bytes.size(); at += sizeof sum) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
    sum = mix(sum, word);
  }
  for (uint64_t lane : lanes) sum = mix(sum, lane);
  return sum;
}

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed) {
  const size_t pieces = (bytes.size() + kPiece - 1) / kPiece;
  std::vector<uint64_t> sums(pieces);
  on_host_threads(static_cast<int64_t>(pieces), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i)
      sums[i] = of_piece(bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece)), seed);
  });
  uint64_t sum = mix(seed, bytes.size());
  for (uint64_t one : sums) sum = mix(sum, one);
  return sum;
}

}  // namespace fovea
