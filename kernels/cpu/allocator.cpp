// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/allocator.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "engine/core/out_of_memory.h"
#include "engine/core/trim.h"

namespace fovea::kernels::cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostKept = size_t{512} << 20;    // bytes in the free list
constexpr size_t kLargestKept = size_t{128} << 20;

// Four sizes per power of two, so that a freed block serves requests of nearly its size.
size_t rounded(size_t bytes) {
  const size_t step = std::max<size_t>(64, std::bit_floor(std::max<size_t>(bytes, 1)) / 4);
  return (bytes + step - 1) / step * step + (bytes == 0 ? 64 : 0);
}

struct FreeList {
  std::mutex mutex;
  std::map<size_t, std::vector<void*>> blocks;
  size_t kept = 0;
};
FreeList& free_list() {
  static FreeList* const one = [] {
    auto* list = new FreeList;                     // outlives every tensor
    add_trimmer(trim);
    return list;
  }();
  return *one;
}

void* fresh(size_t bytes) {
  const bool huge = bytes >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : 64;
  void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (p && huge) madvise(p, bytes, MADV_HUGEPAGE);   // a hint: failing changes nothing
  return p;
}

void* take(size_t bytes) {
  FreeList& list = free_list();
  {
    const std::lock_guard lock(list.mutex);
    const auto it = list.blocks.find(bytes);
    if (it != list.blocks.end() && !it->second.empty()) {
      void* p = it->second.back();
      it->second.pop_back();
      list.kept -= bytes;
      return p;
    }
  }
  void* p = fresh(bytes);
  if (!p && trim() > 0) p = fresh(bytes);
  if (!p) throw OutOfMemory(cat("no memory for ", bytes, " bytes"));
  return p;
}

// False: it is not kept. Called by destructors, so that a list which cannot grow is no error.
bool kept(FreeList& list, void* p, size_t bytes) {
  if (bytes > kLargestKept) return false;
  const std::lock_guard lock(list.mutex);
  if (list.kept + bytes > kMostKept) return false;
  try {
    list.blocks[bytes].push_back(p);
  } catch (const std::bad_alloc&) { return false; }
  list.kept += bytes;
  return true;
}

void give_back(void* p, size_t bytes) {
  if (!kept(free_list(), p, bytes)) std::free(p);
}

}  // namespace

std::shared_ptr<Storage> allocate(size_t bytes, Device d) {
  const size_t size = rounded(bytes);
  auto storage = std::make_shared<Storage>();
  storage->data = static_cast<std::byte*>(take(size));
  storage->bytes = bytes;
  storage->device = d;
  storage->keep = std::shared_ptr<void>(storage->data, [size](void* p) { give_back(p, size); });
  return storage;
}

size_t trim() {
  FreeList& list = free_list();
  const std::lock_guard lock(list.mutex);
  const size_t kept = list.kept;
  for (auto& [size, blocks] : list.blocks)
    for (void* p : blocks) std::free(p);
  list.blocks.clear();
  list.kept = 0;
  return kept;
}

}  // namespace fovea::kernels::cpu
