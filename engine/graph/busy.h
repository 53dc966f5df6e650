// SPDX-License-Identifier: Apache-2.0
// engine/graph/busy.h — Busy: one run at a time over one working memory; a second one is refused. Private to this
// folder.
#pragma once
#include <atomic>

#include "engine/core/error.h"

namespace fovea {

class Busy {
 public:
  /// Throws Error(argument) while another Busy holds the flag: two threads would overwrite each other's values.
  Busy(std::atomic<bool>& flag, const char* who, const char* help) : flag_(flag) {
    if (flag_.exchange(true, std::memory_order_acquire))
      throw Error(Error::Kind::argument, str_cat("a ", who, " was used by two threads at once"), help);
  }
  ~Busy() { flag_.store(false, std::memory_order_release); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace fovea
