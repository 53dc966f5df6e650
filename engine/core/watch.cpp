// SPDX-License-Identifier: Apache-2.0
#include "engine/core/watch.h"

#include <atomic>

#include "engine/core/error.h"

namespace fovea {
namespace {
std::atomic<Watch*> current{nullptr};
}

Watch* watch() { return current.load(std::memory_order_acquire); }

UseWatch::UseWatch(Watch& w) {
  Watch* nobody = nullptr;
  if (!current.compare_exchange_strong(nobody, &w, std::memory_order_acq_rel))
    throw Error(Error::Kind::argument, "two profilers at the same time", "let one end before the next begins");
}
UseWatch::~UseWatch() { current.store(nullptr, std::memory_order_release); }

}  // namespace fovea
