// SPDX-License-Identifier: Apache-2.0
// data/tar_index.h — what an archive and the archives in it hold, listed once and kept in a file beside it.
#pragma once
#include <string>
#include <vector>

#include "data/tar_members.h"

namespace fovea::data {

struct TarListing {
  struct Inner {
    std::string name;                              // of an archive in the archive
    std::vector<TarMember> members;                // their places are in the outer file
  };
  std::vector<TarMember> members;                  // all but archives
  std::vector<Inner> inner;                        // whose own archives are files like any other
};

/// With `keep`, from the file PATH.fovea-index if that is of this archive as it is now (size and time of the last
/// change), else from the archive, and then into that file. Where it cannot be written the listing is just not kept;
/// what it says is checked against the archive's size, and an index that is damaged is made anew.
TarListing list_tar(const std::string& path, bool keep);

}  // namespace fovea::data
