// SPDX-License-Identifier: Apache-2.0
// cli/walk.h — which files of a folder are images that a command takes: one answer for all commands.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace fovea::cli {

/// What a folder and all folders below it hold, in natural order. Links are followed; each folder is looked at once,
/// under its own name where it has one here. Passed over are files whose names are not those of images, hidden files
/// and folders (.DS_Store, ._photo.jpg), and what is no regular file.
struct Found {
  std::vector<std::string> images;
  std::map<std::string, std::vector<std::string>> left_out;  // by reason: names without their folders
  std::vector<std::string> problems;                         // why folders could not be read, one message each

  /// "2 files left out: 1 hidden (.DS_Store), 1 not an image by its name (notes.txt)"; "" when there are none.
  std::string left_out_text() const;
};
Found find_images(const std::string& folder);

}  // namespace fovea::cli
