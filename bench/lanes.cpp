// SPDX-License-Identifier: Apache-2.0
#include "bench/lanes.h"

namespace fovea::bench {
namespace {
constexpr size_t kMostThreads = 257;               // the caller and the pool's
constexpr double kTogether = 1e-6;                 // seconds
}  // namespace

Lanes::Lanes() : threads_(kMostThreads) {}

void Lanes::step_begins() {
  if (begun_steps_++ == 0) first_ = Clock::now();
}

void Lanes::piece(int thread, Clock::time_point begun, Clock::time_point ended) {
  if (begun_steps_ > 0) threads_[static_cast<size_t>(thread)].push_back({begun_steps_ - 1, begun, ended});
}

std::vector<LaneSlice> Lanes::slices() const {
  const auto seconds = [&](Clock::time_point t) { return std::chrono::duration<double>(t - first_).count(); };
  std::vector<LaneSlice> out;
  for (size_t thread = 0; thread < threads_.size(); ++thread) {
    bool fresh = true;
    for (const Piece& p : threads_[thread]) {
      const double from = seconds(p.begun), to = seconds(p.ended);
      if (!fresh && out.back().step == p.step && from < out.back().to + kTogether) out.back().to = to;
      else out.push_back({static_cast<int>(thread), p.step, from, to});
      fresh = false;
    }
  }
  return out;
}

}  // namespace fovea::bench
