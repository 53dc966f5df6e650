// SPDX-License-Identifier: Apache-2.0
#include "engine/core/host_memory.h"

#include <algorithm>
#include <utility>

#include "engine/core/out_of_memory.h"

namespace fovea {

static thread_local HostMemory current;

UseHostMemory::UseHostMemory(const HostMemory& memory) : before_(std::exchange(current, memory)) {}
UseHostMemory::~UseHostMemory() { current = before_; }

std::shared_ptr<Storage> allocate_in_host_memory(size_t bytes) {
  if (!current.allocate) return nullptr;
  constexpr size_t kAlignment = 64;
  const size_t size = std::max(bytes, kAlignment);
  auto storage = std::make_shared<Storage>();
  void* const p = current.allocate(current.context, size, kAlignment);
  if (!p) throw OutOfMemory(cat("the program's allocator has no ", size, " bytes"));
  storage->keep =
      std::shared_ptr<void>(p, [from = current, size](void* q) { from.release(from.context, q, size, kAlignment); });
  storage->data = static_cast<std::byte*>(p);
  storage->bytes = bytes;
  return storage;
}

}  // namespace fovea
