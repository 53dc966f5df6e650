// SPDX-License-Identifier: Apache-2.0
#include "hub/file_hash.h"

#include <algorithm>
#include <bit>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/text.h"
#include "hub/names.h"

namespace fovea::hub {

void Sha1::take(const uint8_t* block) {
  std::array<uint32_t, 80> w;
  for (size_t i = 0; i < 16; ++i)
    w[i] =
        static_cast<uint32_t>(block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3]);
  for (size_t i = 16; i < w.size(); ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state_;
  for (size_t i = 0; i < w.size(); ++i) {
    const uint32_t f = i < 20   ? (b & c) | (~b & d)
                       : i < 40 ? b ^ c ^ d
                       : i < 60 ? (b & c) | (b & d) | (c & d)
                                : b ^ c ^ d;
    constexpr uint32_t kRound[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    const uint32_t next = std::rotl(a, 5) + f + e + kRound[i / 20] + w[i];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  const std::array<uint32_t, 5> add{a, b, c, d, e};
  for (size_t i = 0; i < add.size(); ++i) state_[i] += add[i];
}

Sha1& Sha1::update(Bytes b) {
  for (size_t at = 0; at < b.size();) {
    const size_t held = bytes_ % block_.size(), n = std::min(b.size() - at, block_.size() - held);
    std::copy_n(reinterpret_cast<const uint8_t*>(b.data()) + at, n, block_.data() + held);
    at += n, bytes_ += n;
    if (bytes_ % block_.size() == 0) take(block_.data());
  }
  return *this;
}

std::string Sha1::finish() {
  const uint64_t bits = bytes_ * 8;
  std::string end(1, '\x80');
  while ((bytes_ + end.size()) % block_.size() != 56) end += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) end += static_cast<char>(bits >> shift & 0xFF);
  update(bytes_of(end));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint32_t word : state_)
    for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[word >> shift & 15];
  *this = {};
  return text;
}

bool FileHash::knows(std::string_view expected) {
  return (expected.size() == 64 || expected.size() == 40) && is_hex(expected);
}

FileHash::FileHash(std::string_view expected, uint64_t size) : git_(expected.size() == 40) {
  if (git_) sha1_.update(bytes_of(cat("blob ", size))).update(bytes_of(std::string_view("\0", 1)));
}

void FileHash::update(Bytes b) {
  if (git_) sha1_.update(b);
  else sha256_.update(b);
}

std::string FileHash::finish() { return git_ ? sha1_.finish() : hex(sha256_.finish()); }

std::string hash_of_file(const std::string& path, std::string_view expected, int64_t size) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return "";
  struct stat info {};
  std::string out;
  if (::fstat(file, &info) == 0 && S_ISREG(info.st_mode) && (size < 0 || info.st_size == size)) {
    FileHash hash(expected, static_cast<uint64_t>(info.st_size));
    std::string piece(size_t{1} << 20, '\0');
    int64_t read = 0;
    for (ssize_t n; (n = ::read(file, piece.data(), piece.size())) > 0; read += n)
      hash.update(bytes_of(std::string_view(piece).substr(0, static_cast<size_t>(n))));
    if (read == info.st_size) out = hash.finish();
  }
  ::close(file);
  return out;
}

}  // namespace fovea::hub
