// SPDX-License-Identifier: Apache-2.0
// weights_tools/mapped_file.h — the bytes of a file for reading, mapped or read whole; tensors on them keep them alive.
#pragma once
#include <memory>
#include <string>

#include "weights_tools/bytes.h"

namespace fovea {

/// `map` costs nothing until bytes are touched, but a file that somebody truncates meanwhile ends the process (SIGBUS);
/// `read` copies the file first: for network file systems and for files that others may change.
enum class FileAccess : uint8_t { map, read };

class MappedFile {
 public:
  /// Throws Error(io or not_found) with the path and what the system said.
  static std::shared_ptr<const MappedFile> open(const std::string& path, FileAccess how = FileAccess::map);
  /// A file that is in memory already; errors call it `name`. The bytes stay as they are until `keep` is let go of.
  static std::shared_ptr<const MappedFile> in_memory(Bytes bytes, std::string name, std::shared_ptr<const void> keep);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// The mapping is private: whoever writes through a tensor on it changes his own copy of a page, never the file.
  Bytes bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  /// Keeps the file, and once nobody holds this any more gives the memory of these bytes back to the system: who keeps
  /// only some of a file's tensors has only those in memory. Private changes of these bytes are forgotten then.
  static std::shared_ptr<const void> hold(std::shared_ptr<const MappedFile> file, Bytes part);

 private:
  explicit MappedFile(std::string path) : path_(std::move(path)) {}
  void load(int fd, FileAccess how);
  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  std::shared_ptr<const void> keep_;               // of bytes that are not mapped
};

}  // namespace fovea
