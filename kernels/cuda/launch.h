// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/launch.h — a kernel by name, how many threads run it, and the queue that takes it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/core/runtime.h"

namespace fovea::cuda {

enum class KernelId : int {
#define FOVEA_KERNEL(name, params, ...) name,
#define FOVEA_BLOCK_KERNEL FOVEA_KERNEL
#include "kernels/cuda/device/kernels.inc"
#undef FOVEA_BLOCK_KERNEL
#undef FOVEA_KERNEL
  count_
};
const char* name_of(KernelId k);                   // "map_f32"

struct Launch {
  KernelId kernel;
  uint32_t blocks, threads, shared;                // shared: bytes of shared memory of a block
};

/// What a Stream's handle is where plans of this folder run: a GPU's, or the tests' stand-in.
class Queue {
 public:
  virtual void launch(const Launch& l, const void* params, size_t bytes) = 0;    // reads params before it returns

 protected:
  ~Queue() = default;
};

}  // namespace fovea::cuda
