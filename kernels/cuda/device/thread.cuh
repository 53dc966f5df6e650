// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/thread.cuh — the words of vocabulary.h in CUDA: what a kernel body is given on a GPU.
#pragma once
#include <cstring>
#include <type_traits>

#include "kernels/cuda/device/vocabulary.h"

namespace fovea::cuda {

struct DeviceThread {
  __device__ int64_t block() const { return blockIdx.x; }
  __device__ int64_t blocks() const { return gridDim.x; }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int64_t threads() const { return blockDim.x; }
  __device__ void sync() const { __syncthreads(); }

  template <class T>
  __device__ T from_lane(const T& v, int lane) const {       // four bytes at a time
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(int) == 0 && sizeof(T) <= 16);
    int words[sizeof(T) / sizeof(int)];
    memcpy(words, &v, sizeof v);
    for (int& word : words) word = __shfl_sync(0xffffffffu, word, lane);
    T other;
    memcpy(&other, words, sizeof other);
    return other;
  }

  template <class T>
  __device__ T* shared() const {
    extern __shared__ double2 fovea_shared[];                // aligned for all that bodies keep there
    return reinterpret_cast<T*>(fovea_shared);
  }
  template <class T>
  __device__ void add(T* sum, T v) const { atomicAdd(sum, v); }
  __device__ void fail(Failure) const { __trap(); }          // the next wait of the host throws
};

}  // namespace fovea::cuda
