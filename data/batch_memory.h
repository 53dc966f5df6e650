// SPDX-License-Identifier: Apache-2.0
// data/batch_memory.h — BatchMemory: memory of batches that nobody holds any more, for batches to come.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::data {

/// A batch has tens of megabytes, which the system would map and clear each time. Callers hold a lock.
class BatchMemory {
 public:
  /// f32, dense; the values are whatever they were.
  Tensor take(const Shape& shape);

 private:
  std::vector<Tensor> kept_;
};

}  // namespace fovea::data
