// SPDX-License-Identifier: Apache-2.0
// zoo/plan_cache.h — PlanCache: compiled sessions of models with weights from files, kept between processes.
#pragma once
#include <optional>
#include <string>

#include "engine/graph/session.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

/// The place of one session in a folder: $FOVEA_CACHE, else $XDG_CACHE_HOME/fovea/plans, else ~/.cache/fovea/plans. It
/// is found again by the model and what was traced, what it was compiled for, the contents of the weights' file, this
/// build and the processor's instruction sets. Folder and files count only where they are this user's and nobody else
/// can write them. A cache never fails: what cannot be read or written is as if it were not there.
class PlanCache {
 public:
  /// To be made before the weights are loaded from `weights`, the file: store() keeps what was compiled from them only
  /// if the file is the same before and after. `made_with`: what create() was given; settings may decide what becomes
  /// of weights without showing in a graph. `traced`: of `model`, best without bytes, for those that it has count.
  /// `where`: the folder; empty: there is no cache.
  PlanCache(const ImageModel& model, const ModelOptions& made_with, const Graph& traced, std::string weights,
            const Target& target, std::string where = folder());

  /// The session, its constants mapped from the folder; nothing when it is not there. A file of weights that was seen
  /// before and not touched since is not read.
  std::optional<Session> load() const;
  /// Writes the session, and deletes the oldest ones while all are larger than `most_bytes` together. False: not kept.
  /// Constants that the folder holds already, in a session of these weights for another batch or size, are not written
  /// again: files that are loaded share those pages.
  bool store(const Session& session, int64_t most_bytes = int64_t{2} << 30) const noexcept;

  static std::string folder();                     // empty: no cache, where none of the three is set

 private:
  std::string path_for(const std::string& sum) const;
  std::string key_for(const std::string& sum) const;
  std::optional<std::string> summed() const;

  std::string folder_, weights_;
  bool settled_ = false;                           // changes since the stamp was taken show in a new one
  std::string stamp_;                              // of the weights' file; empty: there is none
  std::string what_;                               // all of the key but the weights' contents
  std::string prefix_;                             // of the names of files that differ in weights only
  std::optional<std::string> sum_;                 // of the contents that the stamp is of; nothing: not needed yet
};

/// Gives a graph that was traced from the model before it had weights the tensors that the model has now. False where
/// that graph is not the model's any more (weights may bring another number of classes): it must be traced again.
bool fill_traced(Graph& traced, const ImageModel& model);

}  // namespace fovea::zoo
