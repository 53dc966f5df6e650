// SPDX-License-Identifier: Apache-2.0
#include "data/folder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "data/decode.h"
#include "data/regular_file.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 2> kTraining{"train", "training"};
constexpr std::array<std::string_view, 5> kEvaluation{"val", "valid", "validation", "eval", "evaluation"};

template <size_t N>
bool holds(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view without_range(std::string_view split) { return split.substr(0, split.find('[')); }

[[noreturn]] void fail(const fs::path& folder, const std::error_code& why) {
  const bool missing = why == std::errc::no_such_file_or_directory;
  throw Error(missing ? Error::Kind::not_found : Error::Kind::io,
              str_cat("cannot read the folder ", folder.string(), ": ", why.message()));
}

// All images below a folder; `above` are the real paths of the folders that it lies in.
class Walk {
 public:
  Walk(const Suffixes& suffixes, std::vector<std::string>& out) : suffixes_(suffixes), out_(out) {}

  void into(const fs::path& folder) {
    std::error_code failed;
    const fs::path real = fs::canonical(folder, failed);
    if (failed) fail(folder, failed);
    if (std::find(above_.begin(), above_.end(), real) != above_.end()) return;
    above_.push_back(real);
    std::vector<fs::path> folders;
    fs::directory_iterator at(folder, failed), end;
    if (failed) fail(folder, failed);
    for (; at != end; at.increment(failed)) {
      const std::string name = at->path().filename().string();
      std::error_code unknown;
      if (name.starts_with('.')) continue;
      if (at->is_directory(unknown)) folders.push_back(at->path());       // mostly known without asking the system
      else if (is_image_name(name, suffixes_)) out_.push_back(at->path().string());
    }
    if (failed) fail(folder, failed);
    for (const fs::path& f : folders) into(f);
    above_.pop_back();
  }

 private:
  const Suffixes& suffixes_;
  std::vector<std::string>& out_;
  std::vector<fs::path> above_;
};

std::string class_of(const std::string& path, const fs::path& root) {
  const fs::path folder = fs::path(path).parent_path();
  return folder == root ? "" : folder.filename().string();
}

}  // namespace

Suffixes parse_suffixes(std::string_view text) {
  Suffixes out;
  while (!text.empty()) {
    std::string one(text.substr(0, text.find(';')));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    std::ranges::transform(one, one.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!one.empty()) out.push_back(one.starts_with('.') ? one : "." + one);
  }
  return out;
}

bool is_image_name(std::string_view name, const Suffixes& suffixes) {
  if (suffixes.empty()) return has_image_suffix(name);
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(suffixes,
                             [&](const std::string& s) { return lower.size() > s.size() && lower.ends_with(s); });
}

ImageFolder::ImageFolder(const std::string& root, const ClassMap& class_map, const Suffixes& suffixes) {
  std::vector<std::string> found;
  Walk(suffixes, found).into(root);
  std::sort(found.begin(), found.end(), natural_before);
  const fs::path top = (fs::path(root) / "x").parent_path();           // without slashes at its end
  std::vector<std::string> of_each;
  for (const std::string& path : found) of_each.push_back(class_of(path, top));
  const ClassMap map = class_map.empty() ? ClassMap::sorted(of_each) : class_map;
  for (size_t i = 0; i < found.size(); ++i)
    if (const auto number = map.find(of_each[i])) {
      add(*number);
      paths_.push_back(std::move(found[i]));
    }
  set_classes(map.names());
  if (size() == 0)
    throw Error(Error::Kind::not_found, str_cat("no images in ", root),
                class_map.empty() ? "each class is a folder, " + root + "/CLASS/NAME.jpg"
                                  : "the class map names none of its folders");
}

Stored ImageFolder::read(size_t i) const { return {.bytes = RegularFile(paths_[i]).all()}; }

std::vector<std::string> split_names(std::string_view split) {
  const std::string_view name = without_range(split);
  std::vector<std::string> out{std::string(name)};
  if (holds(kTraining, name)) out.insert(out.end(), kTraining.begin(), kTraining.end());
  if (holds(kEvaluation, name)) out.insert(out.end(), kEvaluation.begin(), kEvaluation.end());
  return out;
}

bool is_training_split(std::string_view split) { return holds(kTraining, without_range(split)); }

std::string split_folder(const std::string& root, std::string_view split) {
  for (const std::string& name : split_names(split)) {
    std::error_code unknown;
    const fs::path path = fs::path(root) / name, tar = fs::path(root) / (name + ".tar");
    if (!name.empty() && fs::is_directory(path, unknown)) return path.string();
    if (!name.empty() && fs::is_regular_file(tar, unknown)) return tar.string();
  }
  return root;
}

}  // namespace fovea::data
