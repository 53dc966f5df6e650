// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/module.h — fovea's kernels as nvcc compiled them: what cuModuleLoadData takes.
#pragma once

namespace fovea::cuda {

/// Code for each kind of GPU that the build names, and PTX for later ones; part of the library.
const void* own_module();

}  // namespace fovea::cuda
