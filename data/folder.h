// SPDX-License-Identifier: Apache-2.0
// data/folder.h — ImageFolder: images whose folders are their classes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/class_map.h"
#include "data/reader.h"

namespace fovea::data {

/// How names of images end, where not all of image_suffixes() are wanted: ".jpg", ... in lower case.
using Suffixes = std::vector<std::string>;
/// "jpg;.png" -> {".jpg", ".png"}, as timm's --input-key says it.
Suffixes parse_suffixes(std::string_view text);
/// In any case; of no suffixes all that fovea reads.
bool is_image_name(std::string_view name, const Suffixes& suffixes);

class ImageFolder final : public Reader {
 public:
  /// All images below `root`, each of the class that its own folder is called by, "" for `root` itself; classes and
  /// images in natural order (timm: data/readers/reader_image_folder.py). Links are followed, but not into a folder
  /// that they lie in. Hidden files and folders are left out; whatever else has an image's name and is no folder
  /// counts, even if it cannot be read. A class map numbers the classes, and images of others are left out. Throws
  /// Error(not_found) where there is no image.
  explicit ImageFolder(const std::string& root, const ClassMap& class_map = {}, const Suffixes& suffixes = {});

  std::string name(size_t i) const override { return paths_[i]; }
  Stored read(size_t i) const override;

 private:
  std::vector<std::string> paths_;
};

/// The folder of a split below `root`, or the file SPLIT.tar, by its name or one that means the same ("val" finds
/// "validation"); `root` itself where there is none. Of "train[:10]" the part in brackets is left out.
std::string split_folder(const std::string& root, std::string_view split);
/// Names that mean the same as `split`, itself first.
std::vector<std::string> split_names(std::string_view split);
bool is_training_split(std::string_view split);

}  // namespace fovea::data
