// SPDX-License-Identifier: Apache-2.0
// test/support/archives.h — tar archives, IDX files and gzip of few bytes, as other programs write them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::test {

struct TarFile {
  std::string name, content;
  char type = '0';                                 // '0' a file, '5' a folder, '2' a link, '1' a hard link
};
/// A ustar archive with its end; a name of more than 100 characters has a pax header in front.
std::string make_tar(const std::vector<TarFile>& files);
/// All files below a folder as members, in natural order.
std::vector<TarFile> files_below(const std::string& folder);

/// Bytes in an array of these sizes, as MNIST's files have them.
std::string make_idx(const std::vector<uint32_t>& sizes, std::string_view values);
/// gzip that stores what it holds; at most 65,535 bytes.
std::string gzipped(std::string_view content);

}  // namespace fovea::test
