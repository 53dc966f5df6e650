// SPDX-License-Identifier: Apache-2.0
// weights_tools/zip.h — reads zip archives in place (torch checkpoints, npz): nothing is ever written to disk.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "weights_tools/mapped_file.h"

namespace fovea {

struct ZipOptions {
  bool check_crc = true;  // except of entries whose checksum is 0: torch can be told to write none
  uint64_t max_entries = 1'000'000;
  uint64_t max_directory = uint64_t{256} << 20;  // bytes of the central directory
  /// All entries together may unpack to this many times the file's size, or to `free_bytes` when that is more.
  uint64_t max_ratio = 100, free_bytes = uint64_t{64} << 20;
};

struct ZipEntry {
  std::string name;
  bool deflated = false;
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0;  // bytes in the file and after unpacking
  uint64_t at = 0;                // where the packed bytes start in the file
};

/// Bytes with what keeps them alive.
struct KeptBytes {
  Bytes bytes;
  std::shared_ptr<const void> keep;
};

/// The CRC-32 that archives give for each entry; `before` is that of the bytes in front of these.
uint32_t zip_checksum(Bytes b, uint32_t before = 0);

class Zip {
 public:
  /// Reads the central directory (zip64 too) and compares every entry with its local header. Throws Error(format) for
  /// archives whose two lists disagree, whose entries overlap or repeat a name, that are encrypted, or that promise to
  /// unpack to too much.
  static Zip open(std::shared_ptr<const MappedFile> file, const ZipOptions& options = {});

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;  // null when absent
  /// Stored entries are views on the file, deflated ones are unpacked. The checksum is compared.
  KeptBytes read(const ZipEntry& e) const;
  const std::string& path() const { return file_->path(); }

 private:
  std::shared_ptr<const MappedFile> file_;
  ZipOptions options_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace fovea
