// SPDX-License-Identifier: Apache-2.0
// engine/core/threads.h — the one thread number that rules every kernel, vendor's or ours.
#pragma once

namespace fovea {

/// Starts as FOVEA_THREADS, else as the number of processors that affinity and cgroup quotas leave this process.
/// Kernels never use more.
int threads();
void set_threads(int n);                           // throws Error(argument) unless n >= 1

/// While alive, threads() is n on this thread: a Session runs with the number it was compiled for.
class UseThreads {
 public:
  explicit UseThreads(int n);                      // throws Error(argument) unless n >= 1
  ~UseThreads();
  UseThreads(const UseThreads&) = delete;
  UseThreads& operator=(const UseThreads&) = delete;

 private:
  int before_;
};

}  // namespace fovea
