// SPDX-License-Identifier: Apache-2.0
// data/no_tar.cpp — tar archives where fovea was built without libarchive: there are none.
#include "data/tar_members.h"
#include "engine/core/error.h"

namespace fovea::data {

bool can_read_tar() { return false; }

std::vector<TarMember> tar_members(const RegularFile& file, const FilePart&) {
  throw Error(Error::Kind::unsupported, str_cat(file.path(), ": this build of fovea reads no tar archives"),
              "configure with -Dtar=enabled (libarchive), or unpack it");
}

}  // namespace fovea::data
