// SPDX-License-Identifier: Apache-2.0
// hub/file_hash.h — the hashes by which the hub names contents: SHA-256, or the SHA-1 that git gives a blob.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "weights_tools/sha256.h"

namespace fovea::hub {

/// SHA-1 (FIPS 180-4). Good against damage; not against people who make two contents with one hash.
class Sha1 {
 public:
  Sha1& update(Bytes b);
  std::string finish();  // 40 lower-case digits

 private:
  void take(const uint8_t* block);
  std::array<uint32_t, 5> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::array<uint8_t, 64> block_{};
  uint64_t bytes_ = 0;
};

/// What a file of known length hashes to, in the way that an expected hash is written.
class FileHash {
 public:
  static bool knows(std::string_view expected);  // 64 hexadecimal digits, or 40
  FileHash(std::string_view expected, uint64_t size);
  void update(Bytes b);
  std::string finish();

 private:
  bool git_;
  Sha256 sha256_;
  Sha1 sha1_;
};

/// Of a whole file; "" where it cannot be read or is not of this size (which may be unknown: a negative number).
std::string hash_of_file(const std::string& path, std::string_view expected, int64_t size = -1);

}  // namespace fovea::hub
