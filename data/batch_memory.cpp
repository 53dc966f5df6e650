// SPDX-License-Identifier: Apache-2.0
#include "data/batch_memory.h"

#include <algorithm>
#include <atomic>

namespace fovea::data {

Tensor BatchMemory::take(const Shape& shape) {
  const auto unheld = [](const Tensor& t) { return t.impl()->storage.use_count() == 1; };
  std::erase_if(kept_, [&](const Tensor& t) { return unheld(t) && t.shape() != shape; });
  auto found = std::find_if(kept_.begin(), kept_.end(), unheld);
  if (found == kept_.end()) found = kept_.insert(found, empty(shape));
  else std::atomic_thread_fence(std::memory_order_acquire);        // the last holder's reads are over
  return view_of(*found, shape, contiguous_strides(shape), 0);
}

}  // namespace fovea::data
