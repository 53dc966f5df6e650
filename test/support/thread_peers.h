// SPDX-License-Identifier: Apache-2.0
// test/support/thread_peers.h — processes that are threads of one, so that tests need no launcher.
#pragma once
#include <functional>

#include "engine/core/peers.h"

namespace fovea::test {

/// What they have done together.
struct Exchanged {
  size_t sums = 0;                                 // begun by each
  size_t at_once = 0;                              // at most under way in one of them
};
/// f, once for each of so many, side by side. What one of them throws is thrown again, when all have ended.
Exchanged run_together(int size, const std::function<void(Peers&)>& f);

}  // namespace fovea::test
