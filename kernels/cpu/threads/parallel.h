// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/threads/parallel.h — the one pool of threads that every kernel runs on: fovea::threads() of them,
// oneDNN's included.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fovea::kernels::cpu {

/// How many may share what begins here: threads(), and within a parallel region one. There nobody asks how many the
/// machine has, which would read files the first time.
int threads_here();

/// Results have the same bits for any number of threads. So a piece computes whole results, however many pieces there
/// are. A sum that is cut into parts is cut into a number of parts that does not depend on the number of threads.
void parallel_range(int64_t n, int64_t grain, void (*body)(const void* context, int64_t first, int64_t last),
                    const void* context);

/// f(first, last) over pieces of [0, n), none smaller than `grain` unless it is the only one. What f throws reaches the
/// caller once every piece has ended; of several exceptions, one.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f) {
  parallel_range(
      n, grain, [](const void* c, int64_t first, int64_t last) { (*static_cast<const F*>(c))(first, last); }, &f);
}

/// Memory lent by this thread, 64-byte aligned, uninitialised. The thread keeps it for the next one, so that later runs
/// of a kernel allocate nothing. Those that are alive at the same time, as in a loop inside a loop, have bytes apart.
class ThreadMemory {
 public:
  explicit ThreadMemory(size_t bytes);
  ~ThreadMemory();
  ThreadMemory(const ThreadMemory&) = delete;
  ThreadMemory& operator=(const ThreadMemory&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
  bool* taken_;
};
/// The same for at least `count` elements.
template <class T>
class ThreadArray {
 public:
  explicit ThreadArray(size_t count) : memory_(count * sizeof(T)) {}
  T* data() const { return reinterpret_cast<T*>(memory_.data()); }

 private:
  ThreadMemory memory_;
};
/// How far apart rows lie: an odd number of cache lines, because rows a power of two apart would share few places of
/// the nearest cache.
constexpr int64_t odd_lines(int64_t bytes) { return (bytes + 63) / 128 * 128 + 64; }

/// While alive, numbers too small to be normal are read and written as zero on this thread: they cost a hundred times a
/// product.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
};

}  // namespace fovea::kernels::cpu
