// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/block.h — what the threads of a block find out together: sums, the largest, the first of several.
#pragma once
#include "kernels/cuda/device/vocabulary.h"

namespace fovea::cuda {

/// All values of a block's threads joined by `join`, which must not mind the order; every thread gets the result.
/// Blocks have whole warps. A block lends kMostThreads / kWarp values of shared memory.
template <class T, class Thread, class Join>
FOVEA_DEVICE T joined(const Thread& t, T v, T* lent, const Join& join) {
  const int lane = t.thread() % kWarp, warps = static_cast<int>(t.threads()) / kWarp;
  for (int step = kWarp / 2; step > 0; step /= 2) v = join(v, t.from_lane(v, lane ^ step));
  if (warps == 1) return v;
  if (lane == 0) lent[t.thread() / kWarp] = v;
  t.sync();
  v = lent[0];
  for (int w = 1; w < warps; ++w) v = join(v, lent[w]);
  t.sync();                                        // before the next use of what was lent
  return v;
}

template <class T, class Thread>
FOVEA_DEVICE T sum_of(const Thread& t, T v, T* lent) {
  return joined(t, v, lent, [](T a, T b) { return a + b; });
}

/// each(i) for this thread's share of a row that belongs to the block.
template <class Thread, class Each>
FOVEA_DEVICE void along_row(const Thread& t, int64_t size, const Each& each) {
  for (int64_t i = t.thread(); i < size; i += t.threads()) each(i);
}

}  // namespace fovea::cuda
