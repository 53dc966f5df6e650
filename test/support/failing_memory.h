// SPDX-License-Identifier: Apache-2.0
// test/support/failing_memory.h — memory that runs out at a given request, and how much is in use.
#pragma once
#include <cstdint>

namespace fovea::test {

/// false under sanitizers, which have an allocator of their own: then nothing fails and nothing is counted.
bool memory_can_fail();
/// Pieces of memory in use by the whole process.
int64_t live_allocations();

/// While alive, request number `n` (from 1) of any thread for any kind of memory gives none: this one alone, or with
/// `forever` all that come after it, too.
class FailingMemory {
 public:
  FailingMemory(int64_t n, bool forever);
  ~FailingMemory();
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  static bool failed();                            // was there such a request?
  static int64_t requests();                       // so far, those that failed included
};

}  // namespace fovea::test
