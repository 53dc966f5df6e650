// SPDX-License-Identifier: Apache-2.0
#include "data/folder.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;

// natural_less() holds 01 and 1 for equal.
bool before(const std::string& a, const std::string& b) {
  if (natural_less(a, b)) return true;
  return !natural_less(b, a) && a < b;
}

// Links are followed, and each folder is looked at once.
void gather(const fs::path& folder, std::set<fs::path>& seen, std::vector<std::string>& out) {
  std::error_code failed;
  const fs::path real = fs::canonical(folder, failed);
  if (failed)
    throw Error(Error::Kind::not_found, cat("cannot read the folder ", folder.string(), ": ", failed.message()));
  if (!seen.insert(real).second) return;
  std::vector<fs::path> folders;
  fs::directory_iterator at(folder, failed), end;
  if (failed) throw Error(Error::Kind::io, cat("cannot read the folder ", folder.string(), ": ", failed.message()));
  for (; at != end; at.increment(failed)) {
    const fs::path path = at->path();
    const std::string name = path.filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) folders.push_back(path);
    else if (has_image_suffix(name) && fs::is_regular_file(path, ignored)) out.push_back(path.string());
  }
  if (failed) throw Error(Error::Kind::io, cat("cannot read the folder ", folder.string(), ": ", failed.message()));
  for (const fs::path& f : folders) gather(f, seen, out);
}

std::string class_of(const std::string& path) { return fs::path(path).parent_path().filename().string(); }

}  // namespace

ImageFolder::ImageFolder(const std::string& root, const std::vector<std::string>& class_map) : root_(root) {
  std::vector<std::string> paths;
  std::set<fs::path> seen;
  gather(root, seen, paths);
  std::sort(paths.begin(), paths.end(), before);
  classes_ = class_map;
  if (classes_.empty()) {
    std::set<std::string> names;
    for (const std::string& p : paths) names.insert(class_of(p));
    classes_.assign(names.begin(), names.end());
    std::sort(classes_.begin(), classes_.end(), before);
  }
  std::map<std::string, int64_t> number;
  for (size_t i = 0; i < classes_.size(); ++i) number.emplace(classes_[i], static_cast<int64_t>(i));
  for (std::string& p : paths)
    if (const auto found = number.find(class_of(p)); found != number.end())
      samples_.push_back({std::move(p), found->second});
  if (samples_.empty())
    throw Error(Error::Kind::not_found, cat("no images in ", root),
                "each class is a folder, " + root + "/CLASS/NAME.jpg");
}

std::string split_folder(const std::string& root, std::string_view split) {
  const std::vector<std::vector<std::string>> synonyms{
      {"train", "training"}, {"val", "valid", "validation", "eval", "evaluation"}};
  std::vector<std::string> names{std::string(split)};
  for (const auto& group : synonyms)
    if (std::find(group.begin(), group.end(), split) != group.end())
      names.insert(names.end(), group.begin(), group.end());
  for (const std::string& name : names) {
    const fs::path path = fs::path(root) / name;
    std::error_code ignored;
    if (!name.empty() && fs::is_directory(path, ignored)) return path.string();
  }
  return root;
}

std::vector<std::string> read_class_map(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, cat("cannot read the class map ", path));
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const size_t space = line.find_last_of(" \t");
    const bool numbered = space != line.npos && space + 1 < line.size() &&
                          line.find_first_not_of("0123456789", space + 1) == line.npos;
    const std::string name = numbered ? line.substr(0, line.find_last_not_of(" \t", space) + 1) : line;
    if (name.empty()) continue;
    const size_t at = numbered ? std::stoul(line.substr(space + 1)) : names.size();
    if (at > 10'000'000) throw Error(Error::Kind::format, cat(path, ": class number ", at));
    if (names.size() <= at) names.resize(at + 1);
    names[at] = name;
  }
  if (names.empty()) throw Error(Error::Kind::format, cat("the class map ", path, " is empty"));
  return names;
}

}  // namespace fovea::data
