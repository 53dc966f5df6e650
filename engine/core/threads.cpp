// SPDX-License-Identifier: Apache-2.0
#include "engine/core/threads.h"

#include <atomic>
#include <cstdlib>

#include "engine/core/error.h"
#include "engine/core/processors.h"

namespace fovea {
namespace {

int initial_threads() {
  if (const char* text = std::getenv("FOVEA_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end || n < 1 || n > 4096)
      throw Error(Error::Kind::argument, str_cat("FOVEA_THREADS is '", text, "'"), "give a number from 1 to 4096");
    return static_cast<int>(n);
  }
  return usable_processors();
}

std::atomic<int>& number() {
  static std::atomic<int> n = initial_threads();
  return n;
}

thread_local int here = 0;                         // 0: as everywhere

void want_positive(std::string_view who, int n) {
  if (n < 1) throw Error(Error::Kind::argument, str_cat(who, "(", n, ")"), "at least one thread is needed");
}

}  // namespace

int threads() { return here ? here : number().load(std::memory_order_relaxed); }

void set_threads(int n) {
  want_positive("set_threads", n);
  number().store(n, std::memory_order_relaxed);
}

UseThreads::UseThreads(int n) : before_(here) {
  want_positive("UseThreads", n);
  here = n;
}
UseThreads::~UseThreads() { here = before_; }

}  // namespace fovea
