// SPDX-License-Identifier: Apache-2.0
// data/tar_images.h — TarImages: images in one tar archive, in archives in it, or in a folder of archives.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "data/class_map.h"
#include "data/folder.h"
#include "data/reader.h"
#include "data/tar_members.h"

namespace fovea::data {

struct TarOptions {
  ClassMap class_map{};
  Suffixes suffixes{};
  /// What the archives hold is kept in a file beside them, and found there the next time. Absent: where they have more
  /// than 10 GiB, as timm does it.
  std::optional<bool> index{};
};

class TarImages final : public Reader {
 public:
  /// `root` is an archive or a folder of *.tar. An image's class is the last part of the way to it: its folder in the
  /// archive, else the archive's own name where that is not `root`. Archives in archives are looked into, one level
  /// deep. Classes are in natural order, and so are images, by their names in their archive (timm:
  /// data/readers/reader_image_in_tar.py). Hidden files are left out. Throws Error(not_found) where there is none.
  explicit TarImages(const std::string& root, const TarOptions& options = {});

  std::string name(size_t i) const override;       // "ARCHIVE/NAME"
  Stored read(size_t i) const override;

 private:
  struct Place {
    size_t archive;
    TarMember member;
  };
  void take(size_t archive, const std::string& prefix, const std::vector<TarMember>& members,
            const Suffixes& suffixes, std::vector<std::string>& classes);
  std::vector<std::string> archives_;
  std::vector<Place> places_;
};

/// Is there a *.tar in the folder?
bool has_tars(const std::string& folder);

}  // namespace fovea::data
