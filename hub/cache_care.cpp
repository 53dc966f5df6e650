// SPDX-License-Identifier: Apache-2.0
#include "hub/cache_care.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/text.h"
#include "hub/cache.h"
#include "hub/file_hash.h"
#include "hub/names.h"
#include "hub/partial.h"

namespace fovea::hub {
namespace {
namespace fs = std::filesystem;

// In the order of their names; empty where there is no such folder.
std::vector<fs::directory_entry> entries(const fs::path& folder) {
  std::vector<fs::directory_entry> out;
  std::error_code ignored;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, ignored)) out.push_back(e);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::directory_entry> all_below(const fs::path& folder) {
  std::vector<fs::directory_entry> out;
  std::error_code ignored;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(folder, ignored)) out.push_back(e);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> repositories(const Settings& settings) {
  std::vector<fs::path> out;
  for (const fs::directory_entry& e : entries(settings.cache)) {
    std::error_code ignored;
    if (e.is_directory(ignored) && !repo_of_folder(e.path().filename().string()).empty()) out.push_back(e.path());
  }
  return out;
}

std::map<std::string, std::vector<std::string>> revisions_by_commit(const fs::path& repo) {
  std::map<std::string, std::vector<std::string>> out;
  for (const fs::directory_entry& e : all_below(repo / "refs")) {
    std::error_code ignored;
    if (!e.is_regular_file(ignored)) continue;
    std::ifstream file(e.path());
    std::string commit;
    std::getline(file, commit);
    out[commit].push_back(e.path().lexically_relative(repo / "refs").generic_string());
  }
  return out;
}

bool in_use(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (file < 0) return false;
  const bool locked = ::flock(file, LOCK_EX | LOCK_NB) != 0;
  ::close(file);
  return locked;
}

bool is_dangling(const fs::directory_entry& e) {
  std::error_code ignored;
  return e.is_symlink(ignored) && !fs::exists(e.path(), ignored);
}

class Finder {
 public:
  void repository(const fs::path& repo, const fs::path& locks) {
    std::set<fs::path> needed;
    std::error_code ignored;
    for (const fs::directory_entry& e : all_below(repo / "snapshots")) {
      if (is_dangling(e)) add(e, "a link to nothing");
      else if (e.is_symlink(ignored)) needed.insert(fs::canonical(e.path(), ignored));
    }
    for (const fs::directory_entry& e : entries(repo / "blobs")) {
      if (is_partial_name(e.path().filename().string())) partial(e);
      else if (!needed.contains(fs::canonical(e.path(), ignored)) &&
               !in_use(locks / (e.path().filename().string() + ".lock")))
        add(e, "a content to which nothing leads");
    }
  }
  void partial(const fs::directory_entry& e) {
    if (!in_use(e.path())) add(e, "a download that broke off");
  }
  void lock(const fs::directory_entry& e) {
    if (!in_use(e.path())) add(e, "a lock that nobody holds");
  }
  // Folders that hold nothing, once what was found so far is gone; inner ones first.
  void empty_folders(const fs::path& root) {
    std::vector<fs::directory_entry> all = all_below(root);
    std::reverse(all.begin(), all.end());
    std::error_code ignored;
    if (fs::is_directory(root, ignored)) all.emplace_back(root);
    for (const fs::directory_entry& e : all) {
      if (e.is_symlink(ignored) || !e.is_directory(ignored)) continue;
      const std::vector<fs::directory_entry> inside = entries(e.path());
      if (std::all_of(inside.begin(), inside.end(), [&](const auto& i) { return gone_.contains(i.path()); }))
        add(e, "an empty folder");
    }
  }
  std::vector<Leftover> found;

 private:
  void add(const fs::directory_entry& e, const char* what) {
    std::error_code ignored;
    const bool file = !e.is_symlink(ignored) && e.is_regular_file(ignored);
    const uint64_t bytes = file ? e.file_size(ignored) : 0;
    found.push_back({.path = e.path().string(), .what = what, .bytes = ignored ? 0 : bytes});
    gone_.insert(e.path());
  }
  std::set<fs::path> gone_;
};

std::string promised(const CachedFile& file) {
  const std::string name = fs::path(file.path).filename().string();
  const size_t dash = name.rfind('-');
  if (dash == name.npos) return "";
  const std::string digits = name.substr(dash + 1, name.find('.', dash) - dash - 1);
  return digits.size() >= 8 && digits.size() != 40 && is_hex(digits) ? digits : "";
}

}  // namespace

std::vector<CachedFile> cached_files(const Settings& settings) {
  std::vector<CachedFile> out;
  std::error_code ignored;
  for (const fs::path& repo : repositories(settings)) {
    const auto revisions = revisions_by_commit(repo);
    for (const fs::directory_entry& commit : entries(repo / "snapshots")) {
      const std::string sha = commit.path().filename().string();
      const auto names = revisions.find(sha);
      for (const fs::directory_entry& e : all_below(commit.path()))
        if (e.is_regular_file(ignored))
          out.push_back({.repo = repo_of_folder(repo.filename().string()),
                         .commit = sha,
                         .name = e.path().lexically_relative(commit.path()).generic_string(),
                         .revisions = names == revisions.end() ? std::vector<std::string>() : names->second,
                         .path = e.path().string(),
                         .bytes = e.file_size(ignored)});
    }
  }
  for (const fs::directory_entry& e : entries(settings.checkpoints))
    if (e.is_regular_file(ignored) && !is_partial_name(e.path().filename().string()))
      out.push_back({.name = e.path().filename().string(), .path = e.path().string(), .bytes = e.file_size(ignored)});
  return out;
}

Verdict verify(const CachedFile& file) {
  std::error_code ignored;
  const std::string blob = file.repo.empty() ? "" : fs::canonical(file.path, ignored).filename().string();
  const std::string expected = file.repo.empty() ? promised(file) : FileHash::knows(blob) ? blob : "";
  if (expected.empty()) return {file, Verdict::State::unknown, "nothing says what its hash should be"};
  const std::string found = hash_of_file(file.path, expected);
  if (found.starts_with(expected)) return {file, Verdict::State::right, ""};
  return {file, Verdict::State::wrong,
          found.empty() ? "it cannot be read" : cat("its hash is ", found, ", not ", expected)};
}

std::vector<Leftover> leftovers(const Settings& settings) {
  Finder finder;
  std::error_code ignored;
  const fs::path locks = fs::path(settings.cache) / ".locks";
  for (const fs::path& repo : repositories(settings)) {
    finder.repository(repo, locks / repo.filename());
    finder.empty_folders(repo);
  }
  if (!settings.cache.empty()) {
    for (const fs::directory_entry& e : all_below(locks))
      if (e.is_regular_file(ignored)) finder.lock(e);
    finder.empty_folders(locks);
  }
  for (const fs::directory_entry& e : entries(settings.checkpoints))
    if (is_partial_name(e.path().filename().string())) finder.partial(e);
  return std::move(finder.found);
}

bool remove(const Leftover& leftover) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(leftover.path, error);
  if (!fs::exists(status)) return true;
  if (fs::is_regular_file(status) && in_use(leftover.path)) return true;
  fs::remove(leftover.path, error);  // of folders only empty ones
  return !error || error == std::errc::directory_not_empty;
}

bool remove_wrong(const CachedFile& file) {
  std::error_code error, ignored;
  const fs::path content = fs::canonical(file.path, ignored);
  fs::remove(file.path, error);
  if (!content.empty()) fs::remove(content, ignored);
  return !error;
}

}  // namespace fovea::hub
