// SPDX-License-Identifier: Apache-2.0
// test/support/sha256.h — SHA-256 and 64-bit FNV-1a: what golden files name bytes by.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "weights_tools/sha256.h"

namespace fovea::test {

inline uint64_t fnv1a(std::span<const uint8_t> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint8_t b : bytes) hash = (hash ^ b) * 0x100000001b3u;
  return hash;
}

inline std::string sha256(std::span<const uint8_t> bytes) { return fovea::sha256(std::as_bytes(bytes)); }

}  // namespace fovea::test
