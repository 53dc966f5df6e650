// SPDX-License-Identifier: Apache-2.0
// data/batch_memory.h — BatchMemory: memory of batches that nobody holds any more, for batches to come.
#pragma once
#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::data {

/// A batch has tens of megabytes, which the system would map and clear each time. Callers hold a lock.
class BatchMemory {
 public:
  /// f32, dense; the values are whatever they were.
  Tensor take(const Shape& shape) {
    std::erase_if(kept_, [&](const Tensor& t) { return unheld(t) && t.shape() != shape; });
    auto found = std::find_if(kept_.begin(), kept_.end(), unheld);
    if (found == kept_.end()) found = kept_.insert(found, empty(shape));
    else std::atomic_thread_fence(std::memory_order_acquire);      // the last holder's reads are over
    return view_of(*found, shape, contiguous_strides(shape), 0);
  }

 private:
  static bool unheld(const Tensor& t) { return t.impl()->storage.use_count() == 1; }
  std::vector<Tensor> kept_;
};

}  // namespace fovea::data
