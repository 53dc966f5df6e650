// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/backend.cpp — the backend "cuda".
#include "engine/core/backend.h"

#include "kernels/cuda/plan.h"
#include "kernels/cuda/runtime.h"

namespace fovea {

extern const Backend backend_cuda;                 // named by the generated manifest
const Backend backend_cuda{.name = "cuda",
                           .device = Device::Kind::cuda,
                           .runtime = &cuda::gpu_runtime,
                           .kernels = cuda::own_kernels,
                           .rank = 0,
                           .convert = cuda::convert};

}  // namespace fovea
