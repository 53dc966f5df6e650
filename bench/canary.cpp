// SPDX-License-Identifier: Apache-2.0
#include "bench/canary.h"

#include <algorithm>

#include "bench/loops.h"
#include "bench/progress.h"
#include "engine/core/backend.h"
#include "engine/core/threads.h"

namespace fovea::bench {
namespace {

constexpr double kTurn = 2e-4;                     // seconds
constexpr int64_t kPiecesEach = 8;                 // as the pool cuts the work of kernels

thread_local volatile float sink;                  // so that nothing is optimised away

void work(int64_t rounds) {
  const Loop& loop = *supported_loops()[0];        // the narrowest: wide ones may change the clock
  on_host_threads(threads() * kPiecesEach, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) sink = loop.run(rounds);
  });
}

double seconds_of(int64_t rounds) {
  const double start = now();
  work(rounds);
  return now() - start;
}

}  // namespace

Canary::Canary() {
  constexpr int kTries = 3;                        // one that was interrupted would make all turns too short
  for (;; rounds_ *= 2) {
    best_ = seconds_of(rounds_);
    for (int i = 1; i < kTries; ++i) best_ = std::min(best_, seconds_of(rounds_));
    if (best_ > kTurn / 2) break;
  }
}

double Canary::sing() {
  seconds_.push_back(seconds_of(rounds_));
  best_ = std::min(best_, seconds_.back());
  return seconds_.back();
}

double Canary::median() const {
  if (seconds_.empty()) return best_;
  std::vector<double> v = seconds_;
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

}  // namespace fovea::bench
