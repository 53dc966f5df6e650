// SPDX-License-Identifier: Apache-2.0
// bench/lanes.h — Lanes: what each thread did during one run of a session, step by step.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/core/watch.h"

namespace fovea::bench {

/// A stretch of one thread's time; seconds from the beginning of the first step.
struct LaneSlice {
  int thread = 0;                                  // 0: the caller
  size_t step = 0;
  double from = 0, to = 0;
};

/// Follows one profiled run.
class Lanes final : public Watch {
 public:
  Lanes();
  void step_begins() override;
  void step_ended() override {}
  void piece(int thread, Clock::time_point begun, Clock::time_point ended) override;
  /// By thread, then by time. Pieces of one step that follow one another within a microsecond are one.
  std::vector<LaneSlice> slices() const;

 private:
  struct Piece {
    size_t step;
    Clock::time_point begun, ended;
  };
  size_t begun_steps_ = 0;
  Clock::time_point first_;
  std::vector<std::vector<Piece>> threads_;        // each written by its own thread
};

}  // namespace fovea::bench
