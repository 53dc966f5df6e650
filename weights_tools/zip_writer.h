// SPDX-License-Identifier: Apache-2.0
// weights_tools/zip_writer.h — writes a zip archive of stored members; equal members make equal files.
#pragma once
#include <cstdint>
#include <string>

#include "weights_tools/atomic_file.h"
#include "weights_tools/spool.h"

namespace fovea {

/// Sizes, offsets and counts that do not fit the old fields go to zip64 ones. The file appears with finish(), not
/// before.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}
  // the member is head and body, one after the other
  void add(const std::string& name, std::string_view head, Bytes body);
  void add(const std::string& name, std::string_view head, const Spool& body);
  void finish();

 private:
  void begin(const std::string& name, uint64_t size, uint32_t crc);
  AtomicFile file_;
  std::string directory_;
  uint64_t entries_ = 0;
};

}  // namespace fovea
