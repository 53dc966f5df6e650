// SPDX-License-Identifier: Apache-2.0
// data/tar_members.h — which files a tar archive holds, and where their bytes lie in it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/regular_file.h"

namespace fovea::data {

struct TarMember {
  std::string name;                                // as the archive has it
  uint64_t at = 0, size = 0;                       // of its bytes, from the start of the file
};

/// Part of a file: an archive in an archive is a member of the outer one.
struct FilePart {
  uint64_t at = 0, size = 0;
};

bool can_read_tar();                               // false when fovea was built with -Dtar=disabled
/// Regular files in their order; links, folders and devices are left out. Throws Error(format) where the archive is
/// damaged, cut off or compressed, or a member has holes, and Error(unsupported) without libarchive.
std::vector<TarMember> tar_members(const RegularFile& file, const FilePart& part);
inline std::vector<TarMember> tar_members(const RegularFile& file) { return tar_members(file, {0, file.size()}); }

}  // namespace fovea::data
