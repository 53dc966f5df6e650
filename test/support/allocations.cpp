// SPDX-License-Identifier: Apache-2.0
#include "test/support/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

// The sanitizers have an operator new of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FOVEA_COUNTS 0
#elif defined(__has_feature)
#define FOVEA_COUNTS !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define FOVEA_COUNTS 1
#endif

namespace {

std::atomic<bool> counting = false;
std::atomic<int64_t> count = 0, bytes = 0;

}  // namespace

#if FOVEA_COUNTS
// Only the plain form is replaced: the others of the standard library come here, and aligned ones are fovea's storage.
void* operator new(size_t n) {
  if (counting.load(std::memory_order_relaxed)) {
    count.fetch_add(1, std::memory_order_relaxed);
    bytes.fetch_add(static_cast<int64_t>(n), std::memory_order_relaxed);
  }
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace fovea::test {

bool allocations_are_counted() {
#if FOVEA_COUNTS
  return true;
#else
  return false;
#endif
}

CountAllocations::CountAllocations() {
  count = bytes = 0;
  counting = true;
}
CountAllocations::~CountAllocations() { counting = false; }

Allocations CountAllocations::so_far() { return {count, bytes}; }

}  // namespace fovea::test
