// SPDX-License-Identifier: Apache-2.0
// data/regular_file.h — RegularFile: a file of samples, open for reading at any place, by any number of threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fovea::data {

class RegularFile {
 public:
  /// Throws Error(not_found or io) where there is no file, or none that can be read, and where the name is that of a
  /// pipe, a device or a folder: nothing waits for a pipe's other end.
  explicit RegularFile(const std::string& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  uint64_t size() const { return size_; }          // when it was opened
  const std::string& path() const { return path_; }
  /// As many bytes as there are from `at` on, at most those of `out`.
  size_t read(uint64_t at, std::span<std::byte> out) const;
  /// Exactly these; throws Error(format) where the file ends before.
  std::vector<std::byte> part(uint64_t at, uint64_t size) const;
  std::vector<std::byte> all() const { return part(0, size_); }

 private:
  std::string path_;
  int fd_;
  uint64_t size_ = 0;
};

}  // namespace fovea::data
