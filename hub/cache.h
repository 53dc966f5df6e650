// SPDX-License-Identifier: Apache-2.0
// hub/cache.h — the cache of huggingface_hub on disk: blobs by their hash, snapshots that link to them, refs that name
// snapshots.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "hub/names.h"
#include "hub/settings.h"

namespace fovea::hub {

/// The part of the cache that belongs to one repository. Reading changes nothing and needs no permission to.
class RepoCache {
 public:
  RepoCache(const Settings& settings, std::string repo_id);

  /// The commit that a revision was when it was last asked for; of a commit itself, it.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// Where the file is, if it is there.
  std::optional<std::string> find(const std::string& commit, std::string_view file) const;
  bool known_absent(const std::string& commit, std::string_view file) const;
  /// All three as far as they can be written; a cache that cannot be is read nevertheless.
  void remember(const std::string& revision, const std::string& commit) const noexcept;
  void remember_absent(const std::string& commit, std::string_view file) const noexcept;

  /// Makes the folders that the next three need. Throws Error(io).
  void prepare(const std::string& commit, std::string_view file) const;
  std::string blob(std::string_view hash) const;
  std::string place(const std::string& commit, std::string_view file) const;
  /// place() becomes a link to the blob; false where there are no links, and then the content itself has to go there.
  bool link(const std::string& commit, std::string_view file, std::string_view hash) const;
  std::string lock(std::string_view hash) const;
  const std::string& folder() const { return folder_; }

 private:
  std::string cache_, name_, folder_;
  bool links_;
};

/// "models--org--name" of "org/name", and back; "" for names of other folders.
std::string repo_folder(std::string_view repo_id);
std::string repo_of_folder(std::string_view folder);

}  // namespace fovea::hub
