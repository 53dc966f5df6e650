// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/parallel.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "engine/core/threads.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fovea::kernels::cpu {

void parallel_range(int64_t n, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  if (n <= 0) return;
  const int64_t pieces = std::min<int64_t>(threads(), (n + grain - 1) / std::max<int64_t>(grain, 1));
#if defined(_OPENMP)
  if (pieces > 1 && !omp_in_parallel()) {
    // Always the whole team: changing its size between regions is what costs.
#pragma omp parallel num_threads(threads())
    {
      const int64_t team = std::min<int64_t>(pieces, omp_get_num_threads()), me = omp_get_thread_num();
      const int64_t first = n * me / team, last = n * (me + 1) / team;
      if (me < team) {
        const FlushDenormals flush;
        body(context, first, last);
      }
    }
    return;
  }
#endif
  const FlushDenormals flush;
  body(context, 0, n);
}

float* thread_buffer(size_t count) {
  struct Buffer {
    float* data = nullptr;
    size_t count = 0;
    ~Buffer() { std::free(data); }
  };
  thread_local Buffer b;
  if (b.count < count) {
    const size_t bytes = (count * sizeof(float) + 4095) / 4096 * 4096;
    std::free(b.data);
    b.count = 0;
    b.data = static_cast<float*>(std::aligned_alloc(64, bytes));
    if (!b.data) throw std::bad_alloc();
    b.count = bytes / sizeof(float);
  }
  return b.data;
}

#if defined(__SSE2__)
FlushDenormals::FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }   // FTZ and DAZ
FlushDenormals::~FlushDenormals() { _mm_setcsr(before_); }
#else
FlushDenormals::FlushDenormals() : before_(0) {}
FlushDenormals::~FlushDenormals() { (void)before_; }
#endif

#if defined(_OPENMP)
OpenMpThreads::OpenMpThreads() : before_(omp_get_max_threads()) { omp_set_num_threads(threads()); }
OpenMpThreads::~OpenMpThreads() { omp_set_num_threads(before_); }
#else
OpenMpThreads::OpenMpThreads() : before_(0) {}
OpenMpThreads::~OpenMpThreads() { (void)before_; }
#endif

}  // namespace fovea::kernels::cpu
