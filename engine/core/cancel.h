// SPDX-License-Identifier: Apache-2.0
// engine/core/cancel.h — how work ends early because somebody asked for it: a flag, looked at between pieces of work.
#pragma once
#include <atomic>

#include "engine/core/error.h"

namespace fovea {

class Cancelled final : public Error {
 public:
  Cancelled() : Error(Kind::argument, "cancelled") {}
};

/// While alive, work of this thread throws Cancelled soon after the flag was set, by whatever thread: sessions look at
/// it before every step, compile() before every plan and every packed constant. Null: nothing can cancel.
class UseCancellation {
 public:
  explicit UseCancellation(const std::atomic<bool>* flag);
  ~UseCancellation();
  UseCancellation(const UseCancellation&) = delete;
  UseCancellation& operator=(const UseCancellation&) = delete;

 private:
  const std::atomic<bool>* before_;
};

/// That of the innermost; for work that goes on on other threads.
const std::atomic<bool>* cancellation();
void check_cancelled();

}  // namespace fovea
