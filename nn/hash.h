// SPDX-License-Identifier: Apache-2.0
// nn/hash.h — two small hashes: of names (FNV-1a) and of numbers (the finaliser of splitmix64).
#pragma once
#include <cstdint>
#include <string_view>

namespace fovea {

constexpr uint64_t hash_text(std::string_view text, uint64_t h = 0xCBF29CE484222325u) {
  for (const char c : text) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return h;
}

constexpr uint64_t hash_number(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace fovea
