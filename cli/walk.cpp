// SPDX-License-Identifier: Apache-2.0
#include "cli/walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/decode.h"
#include "engine/core/text.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

// natural_less() holds 01 and 1 for equal.
bool before(const std::string& a, const std::string& b) {
  if (natural_less(a, b)) return true;
  return !natural_less(b, a) && a < b;
}

class ImageSearch {
 public:
  explicit ImageSearch(const std::string& folder) { folders_.push_back(folder); }

  // Folders first, then links to those that were not seen yet.
  Found run() {
    while (!folders_.empty() || !links_.empty()) {
      if (folders_.empty()) {
        std::sort(links_.begin(), links_.end(), [](const auto& a, const auto& b) { return before(b, a); });
        folders_.push_back(std::move(links_.back()));
        links_.pop_back();
      }
      const std::string folder = std::move(folders_.back());
      folders_.pop_back();
      look_into(folder);
    }
    std::sort(found_.images.begin(), found_.images.end(), before);
    return std::move(found_);
  }

 private:
  void look_into(const std::string& folder) {
    struct stat s {};
    if (::stat(folder.c_str(), &s) == 0 && !seen_.emplace(s.st_dev, s.st_ino).second) return;
    std::error_code failed;
    for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed))
      take(at->path().string(), at->path().filename().string());
    if (failed) found_.problems.push_back(str_cat("cannot read the folder ", folder, ": ", failed.message()));
  }

  void take(const std::string& path, const std::string& name) {
    const auto leave_out = [&](const char* why) { found_.left_out[why].push_back(name); };
    if (name[0] == '.') return leave_out("hidden");
    struct stat s {};
    const bool image = data::has_image_suffix(name), there = ::stat(path.c_str(), &s) == 0;
    if (there && S_ISDIR(s.st_mode)) {
      const bool link = ::lstat(path.c_str(), &s) == 0 && S_ISLNK(s.st_mode);
      (link ? links_ : folders_).push_back(path);
    } else if (!image) {
      leave_out("not an image by its name");
    } else if (there && !S_ISREG(s.st_mode)) {
      leave_out("no regular file");
    } else {
      found_.images.push_back(path);  // a link to nothing fails when it is read
    }
  }

  std::vector<std::string> folders_, links_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  Found found_;
};

}  // namespace

std::string Found::left_out_text() const {
  constexpr size_t kShown = 3;
  size_t all = 0;
  std::vector<std::string> reasons;
  for (const auto& [why, names] : left_out) {
    all += names.size();
    std::vector<std::string> some = names;
    std::sort(some.begin(), some.end(), before);
    if (some.size() > kShown) {
      some.resize(kShown);
      some.emplace_back("...");
    }
    reasons.push_back(str_cat(names.size(), " ", why, " (", join(some, ", "), ")"));
  }
  return all == 0 ? "" : str_cat(all, all == 1 ? " file" : " files", " left out: ", join(reasons, ", "));
}

Found find_images(const std::string& folder) { return ImageSearch(folder).run(); }

}  // namespace fovea::cli
