// SPDX-License-Identifier: Apache-2.0
#include "engine/core/cancel.h"

namespace fovea {

static thread_local const std::atomic<bool>* current = nullptr;

UseCancellation::UseCancellation(const std::atomic<bool>* flag) : before_(current) { current = flag; }
UseCancellation::~UseCancellation() { current = before_; }

const std::atomic<bool>* cancellation() { return current; }

void check_cancelled() {
  if (current && current->load(std::memory_order_relaxed)) throw Cancelled();
}

}  // namespace fovea
