// SPDX-License-Identifier: Apache-2.0
// zoo/sequence_sessions.h — a model compiled for a few lengths of sequences of patches.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/graph/session.h"
#include "zoo/image_model.h"
#include "zoo/sequence_model.h"

namespace fovea::zoo {

/// What of a sequence is wanted: logits, what the classifier reads, or tokens of levels.
struct SequenceWants {
  bool pre_logits = false;
  // tokens [N, L, C] of each, zero where no patch is valid; then their prefixes
  std::optional<FeatureOptions> levels{};
  std::optional<Size2> patch{};            // of patches that are not of the model's size
};
/// That, eagerly. Throws Error(unsupported) for models that take images only, and for patches of a size that this one
/// does not take.
Tensors run_sequence(ImageModel& model, const PatchSequence& s, const SequenceWants& wants);
Tensor run_sequence(ImageModel& model, const PatchSequence& s, bool pre_logits = false);

/// The same as a graph of patches, coordinates and which of them are valid.
struct SequenceGraphOptions {
  int64_t batch = 1, length = 256;
  SequenceWants wants{};
  Device device{};
};
Graph trace_sequence(ImageModel& model, const SequenceGraphOptions& o);

struct SequenceSessionOptions {
  SequenceWants wants{};
  Target target{};
  size_t most = 4;  // sessions at a time
};

/// A sequence runs in the shortest session that is long enough, and the mask hides what is left of it. As long as there
/// is room, sessions are made for multiples of 64 up to 256, of 128 up to 1024, and of 256. Then a longer one will do,
/// and where there is none, the one that was not used for longest makes room.
class SequenceSessions {
 public:
  SequenceSessions(ImageModel& model, const SequenceSessionOptions& o);
  /// One row of results a sequence, which are computed one by one: each as if it were alone. Tokens of levels are as
  /// many as patches came in.
  Tensors run_all(const PatchSequence& s);
  Tensor run(const PatchSequence& s) { return run_all(s)[0]; }
  static int64_t length_for(int64_t patches);
  std::vector<int64_t> lengths() const;  // of the sessions that there are
  const Session& session(int64_t length) { return of(length).session; }

 private:
  struct One {
    int64_t length = 0;
    uint64_t used = 0;
    Session session;
  };
  One& of(int64_t length);
  ImageModel& model_;
  SequenceSessionOptions options_;
  std::vector<One> all_;
  uint64_t runs_ = 0;
};

}  // namespace fovea::zoo
