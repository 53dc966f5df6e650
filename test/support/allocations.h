// SPDX-License-Identifier: Apache-2.0
// test/support/allocations.h — counts what a piece of code takes from the heap: cost that no clock is asked for.
#pragma once
#include <cstdint>

namespace fovea::test {

struct Allocations {
  int64_t count = 0, bytes = 0;
};

/// While alive, what every thread of the process allocates is counted, but under sanitizers, where nothing is. One at a
/// time.
class CountAllocations {
 public:
  CountAllocations();
  ~CountAllocations();
  CountAllocations(const CountAllocations&) = delete;
  CountAllocations& operator=(const CountAllocations&) = delete;

  static Allocations so_far();
};

/// False under sanitizers, which also keep what is freed.
bool allocations_are_counted();

/// What f() allocates.
template <class F>
Allocations allocated_by(const F& f) {
  const CountAllocations counting;
  f();
  return CountAllocations::so_far();
}

}  // namespace fovea::test
