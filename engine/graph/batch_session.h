// SPDX-License-Identifier: Apache-2.0
// engine/graph/batch_session.h — BatchSession: images side by side, each on a thread of its own.
#pragma once
#include <memory>
#include <vector>

#include "engine/graph/session.h"

namespace fovea {

/// Runs a session of one slice of a batch, for example one image, on batches of any number of slices: as many at a time
/// as there are threads, each on one thread and with working memory that stays in its caches. Without barriers between
/// layers this is quicker than one session of the whole batch, and its memory does not grow with the batch.
/// The graph must treat slices alike and apart, as networks in eval mode do.
class BatchSession {
 public:
  BatchSession();                                  // empty: only to be assigned to
  /// `slice` is best compiled with Target::threads = 1. Throws Error(argument) unless it has one input, no state, and
  /// every result has the input's first dimension. `threads`: 0: as threads() says now.
  explicit BatchSession(Session slice, int threads = 0);
  ~BatchSession();
  BatchSession(BatchSession&&) noexcept;
  BatchSession& operator=(BatchSession&&) noexcept;

  /// Whether a batch divides among threads() evenly enough to be run this way.
  static bool suits(int64_t batch);

  /// `batch` is [n * slice, ...], dense, n at least 1. Results likewise; they stay in the session's memory and are
  /// overwritten by the next run. Nothing is allocated after the first run of a size. Slices give the same bits
  /// whichever thread takes them.
  std::span<const Tensor> run_borrowed(const Tensor& batch);
  /// The session of a slice, to look at.
  Session& slice();
  int64_t arena_bytes() const;                     // of all threads

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fovea
