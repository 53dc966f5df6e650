// SPDX-License-Identifier: Apache-2.0
// weights_tools/sha256.h — SHA-256 (FIPS 180-4): a name for bytes that nobody can give to other bytes on purpose.
#pragma once
#include <array>
#include <string>

#include "weights_tools/bytes.h"

namespace fovea {

using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  /// plain: without the processor's own instructions for it.
  explicit Sha256(bool plain = false) : plain_(plain) {}
  Sha256& update(Bytes b);
  Sha256& update(std::string_view s) { return update(bytes_of(s)); }
  Digest finish();                                 // of all that was given; afterwards it begins anew

 private:
  void take(const uint8_t* blocks, size_t count);
  bool plain_;
  std::array<uint32_t, 8> state_ = kStart;
  std::array<uint8_t, 64> block_{};                // what does not fill a block yet
  uint64_t bytes_ = 0;
  static constexpr std::array<uint32_t, 8> kStart{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

std::string hex(const Digest& d);                  // 64 lower-case digits
inline std::string sha256(Bytes b) { return hex(Sha256().update(b).finish()); }
inline std::string sha256(std::string_view s) { return sha256(bytes_of(s)); }

/// The SHA-256 of the SHA-256s of pieces of 1 MiB and of the length: as hard to forge, and all threads help.
std::string sha256_tree(Bytes b);

}  // namespace fovea
