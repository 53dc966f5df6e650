// SPDX-License-Identifier: Apache-2.0
// hub/cache_care.h — what is in the cache, whether it is right, and what of it nobody needs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hub/settings.h"

namespace fovea::hub {

struct CachedFile {
  std::string repo, commit, name;      // of a repository; `repo` is empty for a file that came by URL
  std::vector<std::string> revisions;  // that were this commit when last asked
  std::string path;
  uint64_t bytes = 0;
};
/// Of both caches: by repository, commit and name; then those that came by URL.
std::vector<CachedFile> cached_files(const Settings& settings);

struct Verdict {
  CachedFile file;
  enum class State : uint8_t { right, wrong, unknown } state;  // unknown: there is no hash to compare with
  std::string why;
};
/// Reads the whole file, and compares it with the hash that its blob's name or its own says.
Verdict verify(const CachedFile& file);

struct Leftover {
  std::string path, what;  // "a download that broke off"
  uint64_t bytes = 0;
};
/// Parts of downloads that run no more, contents to which no snapshot leads, links to nothing, locks, empty folders.
/// Files of huggingface_hub's cache for other than models stay.
std::vector<Leftover> leftovers(const Settings& settings);
/// Removes one of them, if it is still one; false where the system says no.
bool remove(const Leftover& leftover);
/// Removes a file that verify() found wrong, and its content.
bool remove_wrong(const CachedFile& file);

}  // namespace fovea::hub
