// SPDX-License-Identifier: Apache-2.0
// weights_tools/atomic_file.h — how outputs are written: whole files at once, and straight into what is no file.
#pragma once
#include <optional>
#include <string>

#include "engine/core/temporary.h"
#include "weights_tools/bytes.h"

namespace fovea {

/// Writes a file so that its path shows either the old content or the whole new one, also after a crash: the new
/// content has no name, or that of a hidden sibling, until it is synchronised; then it is renamed. Dropped without
/// commit(): nothing changes.
///
/// Links are followed: the file behind them is replaced, in its own folder. A file that exists keeps its mode and, if
/// the system lets us, its owner; a new one has 0666 less the umask. Hard links go on showing the old content. Devices,
/// pipes and what is open as standard output are no files to replace: bytes go straight into them.
class AtomicFile {
 public:
  /// Throws Error(io or not_found) with the path and what the system said. Waits for the reader of a named pipe.
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  void write(Bytes b);
  void write(std::string_view s) { write(bytes_of(s)); }
  uint64_t written() const { return written_; }
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;
  void open_sibling(bool exists, unsigned mode);
  std::string sibling() const;  // a name in the folder of the target that nobody else has
  std::string folder() const;

  std::string path_, target_;  // as given; with links followed
  std::string temporary_;      // the hidden sibling; empty: the new content has no name, or there is none
  std::optional<Temporary> unfinished_;
  int fd_ = -1;
  bool straight_ = false;
  uint64_t written_ = 0;
};

}  // namespace fovea
