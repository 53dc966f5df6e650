// SPDX-License-Identifier: Apache-2.0
#include "hub/cache.h"

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "engine/core/error.h"
#include "hub/partial.h"
#include "weights_tools/atomic_file.h"

namespace fovea::hub {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error && !fs::is_directory(folder))
    throw Error(Error::Kind::io, cat("cannot make the folder ", folder.string(), ": ", error.message()),
                "HF_HUB_CACHE or HF_HOME name another place");
}

// Tells backup programs to leave the cache out.
void mark_cache(const fs::path& cache) {
  const fs::path tag = cache / "CACHEDIR.TAG";
  std::error_code ignored;
  if (fs::exists(tag, ignored)) return;
  std::ofstream(tag) << "Signature: 8a477f597d28d172789f06886806bc55\n"
                        "# This file is a cache directory tag: https://bford.info/cachedir/\n";
}

}  // namespace

std::string repo_folder(std::string_view repo_id) {
  std::string out(kPrefix);
  for (const char c : repo_id) c == '/' ? void(out += "--") : void(out += c);
  return out;
}

std::string repo_of_folder(std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return "";
  folder.remove_prefix(kPrefix.size());
  const size_t between = folder.find("--");
  if (between == folder.npos) return std::string(folder);
  return cat(folder.substr(0, between), "/", folder.substr(between + 2));
}

RepoCache::RepoCache(const Settings& settings, std::string repo_id)
    : cache_(settings.cache),
      name_(repo_folder(repo_id)),
      folder_(cat(cache_, "/", name_)),
      links_(settings.links) {
  if (cache_.empty())
    throw Error(Error::Kind::io, "there is no home folder to keep downloads in",
                "HF_HUB_CACHE or HF_HOME name a place for them");
}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  std::ifstream file(cat(folder_, "/refs/", revision), std::ios::binary);
  std::string commit;
  if (!file || !std::getline(file, commit)) return {};
  while (!commit.empty() && (commit.back() == ' ' || commit.back() == '\r')) commit.pop_back();
  if (!is_commit(commit)) return {};
  return commit;
}

std::string RepoCache::place(const std::string& commit, std::string_view file) const {
  return cat(folder_, "/snapshots/", commit, "/", file);
}

std::string RepoCache::blob(std::string_view hash) const { return cat(folder_, "/blobs/", hash); }

std::string RepoCache::lock(std::string_view hash) const { return cat(cache_, "/.locks/", name_, "/", hash, ".lock"); }

std::optional<std::string> RepoCache::find(const std::string& commit, std::string_view file) const {
  std::string path = place(commit, file);
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  return path;
}

bool RepoCache::known_absent(const std::string& commit, std::string_view file) const {
  std::error_code ignored;
  return fs::is_regular_file(cat(folder_, "/.no_exist/", commit, "/", file), ignored);
}

void RepoCache::remember(const std::string& revision, const std::string& commit) const noexcept {
  if (revision == commit || commit_of(revision) == commit) return;
  try {
    const fs::path path = cat(folder_, "/refs/", revision);
    make_folder(path.parent_path());
    AtomicFile file(path.string());
    file.write(commit);
    file.commit();
  } catch (const Error&) {}  // without it, the next one asks again
}

void RepoCache::remember_absent(const std::string& commit, std::string_view file) const noexcept {
  try {
    const fs::path path = cat(folder_, "/.no_exist/", commit, "/", file);
    make_folder(path.parent_path());
    std::ofstream{path};
  } catch (const Error&) {}
}

void RepoCache::prepare(const std::string& commit, std::string_view file) const {
  make_folder(cat(folder_, "/blobs"));
  make_folder(fs::path(place(commit, file)).parent_path());
  std::error_code ignored;
  fs::create_directories(cat(cache_, "/.locks/", name_), ignored);
  mark_cache(cache_);
}

bool RepoCache::link(const std::string& commit, std::string_view file, std::string_view hash) const {
  if (!links_) return false;
  const fs::path at = place(commit, file);
  const fs::path to = fs::path(blob(hash)).lexically_relative(at.parent_path());
  std::error_code ignored;
  if (fs::create_symlink(to, at, ignored); !ignored) return true;
  if (fs::is_symlink(at, ignored) && fs::read_symlink(at, ignored) == to) return true;
  const std::string fresh = partial_name(blob(hash));  // in place of another link or file
  if (::symlink(to.c_str(), fresh.c_str()) != 0) return false;
  if (::rename(fresh.c_str(), at.c_str()) == 0) return true;
  ::unlink(fresh.c_str());
  return false;
}

}  // namespace fovea::hub
