// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_file.h — how a saved session lies in its file. Private to this folder.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace fovea::session_file {

// A header of eight words, the description (numbers of 64 bits, texts by length), zeros up to a page, the constants.
static_assert(std::endian::native == std::endian::little, "files are written as this machine keeps numbers");
constexpr char kMagic[] = "fovea:S3";              // with the version of this layout; without its zero
constexpr uint64_t kPage = 4096;

struct Header {
  char magic[8] = {};
  uint64_t file_bytes = 0;
  uint64_t description_bytes = 0;
  uint64_t constants_at = 0, constants_bytes = 0;
  uint64_t packed_bytes = 0;                       // the constants' first part: what plans packed
  uint64_t base = 0;                               // the checksum of the base; 0: there is none
  uint64_t checksum = 0;                           // of the whole file with zero in this place
};
static_assert(sizeof(Header) == 64);

// What a constant's bytes are in the file, or in another one that has them: the base.
enum class Kind : int64_t { none, plain, packed_only, plain_in_base };
enum class Where : int64_t { here, base };

constexpr uint64_t rounded(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

class Writer {
 public:
  void number(int64_t v) { text_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void real(double v) { number(std::bit_cast<int64_t>(v)); }
  void text(std::string_view s) {
    number(static_cast<int64_t>(s.size()));
    text_ += s;
  }
  const std::string& bytes() const { return text_; }

 private:
  std::string text_;
};

[[noreturn]] inline void damaged(const char* what) {
  throw Error(Error::Kind::format, std::string("not a session that this build saved: ") + what);
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> b) : left_(b) {}
  int64_t number() {
    int64_t v = 0;
    std::memcpy(&v, take(sizeof v).data(), sizeof v);
    return v;
  }
  int64_t number(int64_t least, int64_t most) {
    const int64_t v = number();
    if (v < least || v > most) damaged("a number out of range");
    return v;
  }
  double real() { return std::bit_cast<double>(number()); }
  std::string_view text() {
    const std::span<const std::byte> b = take(static_cast<uint64_t>(number(0, INT64_MAX)));
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  /// How many of something follow, each of at least `bytes`.
  size_t count(size_t bytes = sizeof(int64_t)) {
    return static_cast<size_t>(number(0, static_cast<int64_t>(left_.size() / bytes)));
  }
  bool done() const { return left_.empty(); }

 private:
  std::span<const std::byte> take(uint64_t n) {
    if (n > left_.size()) damaged("its description ends too early");
    const std::span<const std::byte> b = left_.first(static_cast<size_t>(n));
    left_ = left_.subspan(static_cast<size_t>(n));
    return b;
  }
  std::span<const std::byte> left_;
};

}  // namespace fovea::session_file
