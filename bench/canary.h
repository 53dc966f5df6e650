// SPDX-License-Identifier: Apache-2.0
// bench/canary.h — Canary: a fixed piece of work, timed again and again: that it takes longer shows who else is busy.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fovea::bench {

/// Multiply-adds in registers, on as many threads as threads() says, by the pool that kernels run on. A turn takes
/// about a fifth of a millisecond.
class Canary {
 public:
  Canary();
  double sing();                                   // seconds of one more turn
  double best() const { return best_; }            // the quickest turn so far
  double median() const;
  size_t turns() const { return seconds_.size(); }

 private:
  int64_t rounds_ = 1;                             // of each piece
  double best_ = 0;
  std::vector<double> seconds_;
};

}  // namespace fovea::bench
