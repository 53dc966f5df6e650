// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/parallel.h — the one pool of threads that every kernel runs on: fovea::threads() of them, oneDNN's
// included.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fovea::kernels::cpu {

/// How work was cut when a plan was made must not depend on how many threads run it; results are the same for any
/// number.
void parallel_range(int64_t n, int64_t grain, void (*body)(const void* context, int64_t first, int64_t last),
                    const void* context);

/// f(first, last) over pieces of [0, n), none smaller than `grain` unless it is the only one. f must not throw.
template <class F>
void parallel_for(int64_t n, int64_t grain, const F& f) {
  parallel_range(
      n, grain, [](const void* c, int64_t first, int64_t last) { (*static_cast<const F*>(c))(first, last); }, &f);
}

/// Memory of this thread for the duration of one kernel: at least `count` floats, 64-byte aligned, grown when needed.
/// One user at a time.
float* thread_buffer(size_t count);
/// The same for rows that a product copies, below users of thread_buffer().
std::byte* thread_copies(size_t bytes);
/// How far apart they lie: an odd number of cache lines, because rows a power of two apart would share few places of
/// the nearest cache.
constexpr int64_t odd_lines(int64_t bytes) { return (bytes + 63) / 128 * 128 + 64; }
/// The same for pointers into tensors; usual numbers of them need no allocation.
template <class T = float>
const T** thread_pointers(size_t count) {
  constexpr size_t kUsual = 2048;
  thread_local const T* usual[kUsual];
  thread_local std::vector<const T*> many;
  if (count <= kUsual) return usual;
  if (many.size() < count) many.resize(count);
  return many.data();
}

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
