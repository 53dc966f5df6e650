// SPDX-License-Identifier: Apache-2.0
// data/folder.h — ImageFolder: images whose folders are their classes.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::data {

struct Labelled {
  std::string path;
  int64_t label = -1;
};

class ImageFolder {
 public:
  /// All images below `root`, each of the class that its own folder is called by; classes and images in natural order.
  /// A class map names classes and, by their order, numbers them; images of others are left out. Throws
  /// Error(not_found) where there is no image.
  explicit ImageFolder(const std::string& root, const std::vector<std::string>& class_map = {});
  const std::vector<Labelled>& samples() const { return samples_; }
  const std::vector<std::string>& classes() const { return classes_; }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
  std::vector<Labelled> samples_;
  std::vector<std::string> classes_;
};

/// The folder of a split below `root`, by its name or one that means the same ("val" finds "validation"); `root` itself
/// where there is none.
std::string split_folder(const std::string& root, std::string_view split);
/// One class a line; a line may end with its number, "n01440764 0".
std::vector<std::string> read_class_map(const std::string& path);

}  // namespace fovea::data
