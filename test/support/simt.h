// SPDX-License-Identifier: Apache-2.0
// test/support/simt.h — a GPU's blocks and threads on the host: kernel bodies of kernels/cuda run as they are.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/device/vocabulary.h"
#include "kernels/cuda/launch.h"

namespace fovea::test {

class SimtBlock;

/// What a kernel body is given: the words of kernels/cuda/device/vocabulary.h. Threads of a block run one at a time,
/// until they meet others or end; who is next is drawn from a seed.
class SimtThread {
 public:
  SimtThread(SimtBlock& home, int thread) : home_(home), thread_(thread) {}
  int64_t block() const;
  int64_t blocks() const;
  int thread() const { return thread_; }
  int64_t threads() const;
  void sync() const;
  template <class T>
  T from_lane(T v, int lane) const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16);
    T other;
    std::memcpy(&other, exchange(&v, sizeof v, lane), sizeof other);
    return other;
  }
  template <class T>
  T* shared() const { return reinterpret_cast<T*>(lent()); }
  template <class T>
  void add(T* sum, T v) const { std::atomic_ref<T>(*sum).fetch_add(v); }
  [[noreturn]] void fail(cuda::Failure f) const;

 private:
  const void* exchange(const void* mine, size_t bytes, int lane) const;
  std::byte* lent() const;
  SimtBlock& home_;
  int thread_;
};

struct SimtLaunch {
  int64_t blocks = 1;
  int threads = cuda::kWarp;
  size_t shared = 0;                               // bytes; they hold 0xFF when a block begins
  bool meets = true;                               // false: threads never meet, and whoever tries is an error
  uint64_t seed = 0;                               // which order blocks and threads run in
};

/// Runs a launch to its end. Throws Error(internal) where threads of a block or a warp wait at different places, or one
/// ends while others wait for it, and Error(argument) for what a body's fail() says.
void run_simt(void (*body)(const SimtThread& t, const void* params), const void* params, const SimtLaunch& l);

/// A kernel of kernels/cuda by its name.
void run_simt(const cuda::Launch& l, const void* params, uint64_t seed);

}  // namespace fovea::test
