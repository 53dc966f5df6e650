// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/kernels.cu — every kernel of kernels.inc as a function of a module, found by name.
#include "kernels/cuda/device/bodies.h"
#include "kernels/cuda/device/thread.cuh"

namespace fovea::cuda {

#define FOVEA_KERNEL(name, params, ...)                                                                  \
  extern "C" __global__ void __launch_bounds__(kMostThreads) fovea_##name(const __grid_constant__ params p) { \
    __VA_ARGS__(DeviceThread(), p);                                                                      \
  }
#define FOVEA_BLOCK_KERNEL FOVEA_KERNEL
#include "kernels/cuda/device/kernels.inc"

}  // namespace fovea::cuda
