// SPDX-License-Identifier: Apache-2.0
// api/env.h — Env: what a program that embeds fovea decided, and the state of a call on its behalf.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "api/fovea.h"
#include "engine/autograd/autograd.h"
#include "engine/core/cancel.h"
#include "engine/core/host_memory.h"
#include "engine/core/threads.h"

namespace fovea::capi {

struct Env {
  explicit Env(const fovea_env_options& o);
  void log(int32_t level, const std::string& message) const;

  int threads;
  HostMemory memory;
  int32_t log_level;
  void (*log_to)(void*, int32_t, const char*);
  void* log_context;
};

using Flag = std::shared_ptr<std::atomic<bool>>;
/// Null for null.
Flag flag_of(const fovea_cancel* cancel);

/// While alive, this thread works on behalf of an environment: with its allocator, so many threads, until the flag is
/// set, and without a tape. Work that goes on on other threads makes one there.
class OnBehalf {
 public:
  OnBehalf(const Env& env, int threads, const Flag& cancel)
      : memory_(env.memory), threads_(threads), cancellation_(cancel.get()) {}

 private:
  UseHostMemory memory_;
  UseThreads threads_;
  UseCancellation cancellation_;
  NoGrad no_grad_;
};

}  // namespace fovea::capi

struct fovea_env {
  std::shared_ptr<const fovea::capi::Env> env;
};
struct fovea_cancel {
  fovea::capi::Flag flag;
};
