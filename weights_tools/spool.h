// SPDX-License-Identifier: Apache-2.0
// weights_tools/spool.h — Spool: bytes that wait in a file without a name, so that they need no memory.
#pragma once
#include <string>

#include "weights_tools/bytes.h"

namespace fovea {

class Spool {
 public:
  /// In this folder, or, where nothing can be written there, in the one for temporary files. Throws Error(io).
  explicit Spool(const std::string& folder);
  Spool(Spool&& from) noexcept;
  Spool& operator=(Spool&&) = delete;
  ~Spool();
  void write(Bytes b);
  uint64_t size() const { return size_; }
  /// All bytes from the first on, piece by piece.
  template <class F>
  void each(F f) const {
    for (uint64_t at = 0; at < size_;) {
      const Bytes piece = read(at);
      f(piece);
      at += piece.size();
    }
  }

 private:
  Bytes read(uint64_t at) const;  // a piece, valid until the next call
  [[noreturn]] void fail(const char* doing) const;
  std::string folder_;
  int fd_ = -1;
  uint64_t size_ = 0;
  mutable std::string piece_;
};

}  // namespace fovea
