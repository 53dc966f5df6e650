// SPDX-License-Identifier: Apache-2.0
// engine/core/host_memory.h — HostMemory: an allocator of the program around fovea, in place of the backend's own.
#pragma once
#include <cstddef>
#include <memory>

#include "engine/core/tensor.h"

namespace fovea {

/// Both are called from any thread, and may outlast the object that brought them: memory is released when its last
/// owner goes. `allocate` returns null where it has none.
struct HostMemory {
  void* (*allocate)(void* context, size_t bytes, size_t alignment) = nullptr;
  void (*release)(void* context, void* memory, size_t bytes, size_t alignment) = nullptr;
  void* context = nullptr;
};

/// While alive, on this thread, the bytes of tensors on the host come from there: weights that are read, packed
/// constants, working memory, results. What a pool's threads keep for themselves does not. An empty one: as without.
class UseHostMemory {
 public:
  explicit UseHostMemory(const HostMemory& memory);
  ~UseHostMemory();
  UseHostMemory(const UseHostMemory&) = delete;
  UseHostMemory& operator=(const UseHostMemory&) = delete;

 private:
  HostMemory before_;
};

/// From the innermost; null: there is none, and the backend is to be asked. Throws OutOfMemory.
std::shared_ptr<Storage> allocate_in_host_memory(size_t bytes);

}  // namespace fovea
