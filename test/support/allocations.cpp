// SPDX-License-Identifier: Apache-2.0
#include "test/support/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FOVEA_SANITIZER_HEAP 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FOVEA_SANITIZER_HEAP 1
#endif
#if defined(FOVEA_SANITIZER_HEAP)
#include <sanitizer/allocator_interface.h>
#endif

namespace {

std::atomic<bool> counting = false;
std::atomic<int64_t> count = 0, bytes = 0;

void note(size_t n) {
  if (!counting.load(std::memory_order_relaxed)) return;
  count.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(static_cast<int64_t>(n), std::memory_order_relaxed);
}

}  // namespace

#if defined(FOVEA_SANITIZER_HEAP)
// The sanitizers have an operator new of their own, and tell what it does.
[[maybe_unused]] static const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t n) { note(n); }, [](const volatile void*) {});
#else
// Only the plain form is replaced: the others of the standard library come here, and aligned ones are fovea's storage.
void* operator new(size_t n) {
  note(n);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace fovea::test {

CountAllocations::CountAllocations() {
  count = bytes = 0;
  counting = true;
}
CountAllocations::~CountAllocations() { counting = false; }

Allocations CountAllocations::so_far() { return {count, bytes}; }

}  // namespace fovea::test
