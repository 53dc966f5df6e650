// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/vocabulary.h — what kernel bodies are written in: they compile for GPUs and for the host alike.
#pragma once
#include <cstdint>

#include "engine/core/types.h"

#if defined(__CUDACC__)
#define FOVEA_DEVICE __device__ __forceinline__
#else
#define FOVEA_DEVICE inline
#endif

namespace fovea::cuda {

// A body is `template <class Thread> FOVEA_DEVICE void body(const Thread& t, const Params& p)`. A Thread has
//   block(), blocks(), thread(), threads()   where it stands, and how many there are
//   sync()                                   all threads of the block meet here
//   from_lane(v, lane)                       v of another lane of the warp; all lanes meet here
//   shared<T>()                              the block's shared memory
//   add(T* sum, T v)                         atomically
//   fail(Failure)                            ends the launch with an error
// kernels/cuda/device/thread.cuh is a GPU's, test/support/simt.h the host's.

inline constexpr int kWarp = 32, kMostThreads = 256;

/// What only a run can see.
enum class Failure : int { none, index_out_of_range, division_by_zero };

constexpr int kRank = Dims::kMax;

/// An operand or a result: an address, and how it is stepped through. Strides in elements.
struct Elements {
  void* data;
  DType dtype;
  int64_t strides[kRank];
};

struct Grid {                                      // sizes of dimensions, slowest first
  int32_t rank;
  int64_t sizes[kRank];
  int64_t count;                                   // their product
};

/// Calls visit(d, i) for each dimension d of a grid, the fastest first, where i is the place of element `at` along d.
template <class Visit>
FOVEA_DEVICE void unravel(const Grid& g, int64_t at, const Visit& visit) {
  if (g.count <= INT32_MAX) {                      // 32-bit divisions take a third of the time
    auto rest = static_cast<uint32_t>(at);
    for (int d = g.rank - 1; d >= 0; --d) {
      const auto size = static_cast<uint32_t>(g.sizes[d]);
      visit(d, static_cast<int64_t>(rest % size));
      rest /= size;
    }
    return;
  }
  for (int d = g.rank - 1; d >= 0; --d) {
    visit(d, at % g.sizes[d]);
    at /= g.sizes[d];
  }
}

FOVEA_DEVICE int64_t offset_of(const Grid& g, const int64_t* strides, int64_t at) {
  int64_t offset = 0;
  unravel(g, at, [&](int d, int64_t i) { offset += i * strides[d]; });
  return offset;
}

/// Every element once: each(i) for this thread's share of `count`.
template <class Thread, class Each>
FOVEA_DEVICE void share(const Thread& t, int64_t count, const Each& each) {
  const int64_t step = t.blocks() * t.threads();
  for (int64_t i = t.block() * t.threads() + t.thread(); i < count; i += step) each(i);
}

}  // namespace fovea::cuda
