// SPDX-License-Identifier: Apache-2.0
// weights_tools/zip_writer.h — writes a zip archive of stored members; equal members make equal files.
#pragma once
#include <cstdint>
#include <string>

#include "weights_tools/mapped_file.h"

namespace fovea {

/// Sizes, offsets and counts that do not fit the old fields go to zip64 ones. The file appears with finish(), not
/// before.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}
  void add(const std::string& name, std::string_view head,
           Bytes body);  // the member is head and body, one after the other
  void finish();

 private:
  AtomicFile file_;
  std::string directory_;
  uint64_t entries_ = 0;
};

}  // namespace fovea
