// SPDX-License-Identifier: Apache-2.0
// zoo/plan_cache.h — PlanCache: compiled sessions of models with weights from files, kept between processes.
#pragma once
#include <optional>
#include <string>

#include "engine/graph/session.h"

namespace fovea::zoo {

/// The place of one session in a folder: $FOVEA_CACHE, else $XDG_CACHE_HOME/fovea/plans, else ~/.cache/fovea/plans. It
/// is found again by what was traced, what it was compiled for, the contents of the weights' file, this build and the
/// processor's instruction sets. A cache never fails: what cannot be read or written is as if it were not there.
class PlanCache {
 public:
  /// `traced` may be of a model without bytes. `weights`: the file that load_weights() is given.
  PlanCache(const Graph& traced, std::string weights, const Target& target);

  /// The session, its constants mapped from the folder; nothing when it is not there. A file of weights that was seen
  /// before and not touched since is not read.
  std::optional<Session> load() const;
  /// Writes the session, and deletes the oldest ones while all are larger than `most_bytes` together. False: not kept.
  bool store(const Session& session, int64_t most_bytes = int64_t{2} << 30) const noexcept;

  static std::string folder();

 private:
  std::string path_for(uint64_t weights) const;
  std::string key_for(uint64_t weights) const;
  std::string weights_, what_;                     // all of the key but the weights' contents
  std::string prefix_;                             // of the names of files that differ in weights only
};

}  // namespace fovea::zoo
