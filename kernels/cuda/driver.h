// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/driver.h — NVIDIA's driver, which is opened when a GPU is first asked for, and what it says went wrong.
#pragma once
#include <cuda.h>

namespace fovea::cuda {

#define FOVEA_DRIVER_ENTRIES(entry)                                                                                  \
  entry(cuInit) entry(cuDriverGetVersion) entry(cuDeviceGetCount) entry(cuDeviceGet) entry(cuGetErrorName)           \
  entry(cuGetErrorString) entry(cuDevicePrimaryCtxRetain) entry(cuCtxSetCurrent) entry(cuMemGetInfo)                 \
  entry(cuModuleLoadData) entry(cuModuleGetFunction) entry(cuLaunchKernel) entry(cuStreamCreate)                     \
  entry(cuStreamWaitEvent) entry(cuMemAllocAsync) entry(cuMemFreeAsync) entry(cuMemcpyHtoDAsync)                     \
  entry(cuMemcpyDtoHAsync) entry(cuMemcpyAsync) entry(cuMemsetD8Async) entry(cuMemsetD16Async)                       \
  entry(cuMemsetD32Async) entry(cuMemsetD2D32Async) entry(cuEventCreate) entry(cuEventDestroy) entry(cuEventRecord)  \
  entry(cuEventSynchronize)

/// Entry points of libcuda.so.1, by the names and types of cuda.h.
struct Driver {
#define FOVEA_DRIVER_ENTRY(name) decltype(&::name) name = nullptr;
  FOVEA_DRIVER_ENTRIES(FOVEA_DRIVER_ENTRY)
#undef FOVEA_DRIVER_ENTRY
};

/// The driver, opened and made ready once: in the folder $FOVEA_CUDA_PATH, else where the system's loader looks. Throws
/// Error(unsupported), each time, where there is none, or one that is too old: with what was looked for, and why not.
const Driver& driver();

/// Throws for what a function of the driver gave unless that is success: OutOfMemory, or Error(unsupported) with `what`
/// and the driver's words.
void check(CUresult result, const char* what);

}  // namespace fovea::cuda
