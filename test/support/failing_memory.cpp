// SPDX-License-Identifier: Apache-2.0
#include "test/support/failing_memory.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>

// glibc's own functions stay within reach of a program that brings its own; the sanitizers bring theirs.
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FOVEA_FAILS 0
#elif defined(__has_feature)
#define FOVEA_FAILS !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define FOVEA_FAILS 1
#endif

namespace {

std::atomic<int64_t> live = 0, asked = 0, fails_at = 0;
std::atomic<bool> watching = false, for_good = false, has_failed = false;

#if FOVEA_FAILS
bool fails() {
  if (!watching.load(std::memory_order_relaxed)) return false;
  const int64_t n = asked.fetch_add(1, std::memory_order_relaxed) + 1, at = fails_at.load(std::memory_order_relaxed);
  if (n != at && !(for_good.load(std::memory_order_relaxed) && n > at)) return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

void* counted(void* p) {
  if (p) live.fetch_add(1, std::memory_order_relaxed);
  return p;
}
#endif

}  // namespace

#if FOVEA_FAILS
extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t n) { return fails() ? nullptr : counted(__libc_malloc(n)); }
void* calloc(size_t n, size_t size) { return fails() ? nullptr : counted(__libc_calloc(n, size)); }
void* realloc(void* p, size_t n) {
  if (fails()) return nullptr;
  void* const q = __libc_realloc(p, n);
  if (!p) return counted(q);
  if (!q && n == 0) live.fetch_sub(1, std::memory_order_relaxed);
  return q;
}
void* memalign(size_t alignment, size_t n) { return fails() ? nullptr : counted(__libc_memalign(alignment, n)); }
void* aligned_alloc(size_t alignment, size_t n) { return memalign(alignment, n); }
int posix_memalign(void** out, size_t alignment, size_t n) {
  void* const p = memalign(alignment, n);
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}
void free(void* p) {
  if (p) live.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(p);
}

}
#endif

namespace fovea::test {

bool memory_can_fail() { return FOVEA_FAILS != 0; }
int64_t live_allocations() { return live; }

FailingMemory::FailingMemory(int64_t n, bool forever) {
  asked = 0;
  fails_at = n;
  for_good = forever;
  has_failed = false;
  watching = true;
}
FailingMemory::~FailingMemory() { watching = false; }
bool FailingMemory::failed() { return has_failed; }
int64_t FailingMemory::requests() { return asked; }

}  // namespace fovea::test
