// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/allocator.h — host memory with a free list: fresh pages cost more than the kernels that fill them.
#pragma once
#include <cstddef>
#include <memory>

#include "engine/core/tensor.h"

namespace fovea::kernels::cpu {

/// 64-byte aligned, uninitialised. Freed blocks are kept for the next request of their size, up to a bound.
std::shared_ptr<Storage> allocate(size_t bytes, Device d);
/// Gives all kept blocks back to the operating system; returns how many bytes that were.
size_t trim();

}  // namespace fovea::kernels::cpu
