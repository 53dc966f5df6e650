// SPDX-License-Identifier: Apache-2.0
// test/cuda/driver_stand_in.cpp — a libcuda.so.1 for machines without a GPU: its memory is the host's, and what is
// launched runs by the bodies of kernels/cuda at once.
#include <cuda.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "test/support/simt.h"

// What a program under test may set: the largest piece of memory there is.
extern "C" {
__attribute__((visibility("default"))) size_t fovea_test_most_memory = SIZE_MAX;
__attribute__((visibility("default"))) long long fovea_test_live_memory = 0, fovea_test_launches = 0;
}

namespace {

using fovea::cuda::KernelId;

std::mutex mutex;
std::map<CUdeviceptr, size_t> pieces;
bool failed = false;                               // a launch's error is everybody's from then on

CUresult state() { return failed ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS; }
void* at(CUdeviceptr p) { return reinterpret_cast<void*>(p); }

// Is all of it in one piece of memory that was taken and not given back?
bool inside(CUdeviceptr p, size_t bytes) {
  const std::lock_guard lock(mutex);
  auto it = pieces.upper_bound(p);
  if (it == pieces.begin()) return false;
  --it;
  return p + bytes <= it->first + it->second;
}

template <class T>
CUresult fill(CUdeviceptr p, size_t pitch, T v, size_t width, size_t height) {
  if (!inside(p, (height - 1) * pitch + width * sizeof(T))) return CUDA_ERROR_INVALID_VALUE;
  for (size_t row = 0; row < height; ++row)
    for (size_t i = 0; i < width; ++i)
      std::memcpy(static_cast<char*>(at(p)) + row * pitch + i * sizeof(T), &v, sizeof v);
  return state();
}

int dummy;                                         // what handles without a state of their own point to
template <class Handle>
CUresult give(Handle* h) {
  *h = reinterpret_cast<Handle>(&dummy);
  return state();
}

}  // namespace

extern "C" {
#pragma GCC visibility push(default)

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* v) {
  const char* given = std::getenv("FOVEA_TEST_DRIVER_VERSION");
  *v = given ? std::atoi(given) : CUDA_VERSION;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* n) { return *n = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* d, int i) { return *d = i, i == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; }
CUresult cuGetErrorName(CUresult r, const char** name) {
  *name = r == CUDA_ERROR_LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) { return *text = "as the stand-in says", CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice) { return give(c); }
CUresult cuCtxSetCurrent(CUcontext c) { return c == reinterpret_cast<CUcontext>(&dummy) ? CUDA_SUCCESS
                                                                                       : CUDA_ERROR_INVALID_CONTEXT; }
CUresult cuMemGetInfo(size_t* free, size_t* total) {
  *free = fovea_test_most_memory, *total = SIZE_MAX;
  return state();
}

CUresult cuModuleLoadData(CUmodule* m, const void* image) {
  uint32_t magic;
  std::memcpy(&magic, image, sizeof magic);        // of a fat binary
  return magic == 0xBA55ED50u ? give(m) : CUDA_ERROR_INVALID_IMAGE;
}
CUresult cuModuleGetFunction(CUfunction* f, CUmodule, const char* name) {
  for (int k = 0; k < static_cast<int>(KernelId::count_); ++k)
    if (std::string("fovea_") + fovea::cuda::name_of(static_cast<KernelId>(k)) == name) {
      *f = reinterpret_cast<CUfunction>(static_cast<uintptr_t>(k + 1));
      return CUDA_SUCCESS;
    }
  return CUDA_ERROR_NOT_FOUND;
}
CUresult cuLaunchKernel(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz,
                        unsigned shared, CUstream, void** params, void**) {
  if (y != 1 || z != 1 || ty != 1 || tz != 1 || x == 0 || threads > 1024 || shared > 48 << 10)
    return CUDA_ERROR_INVALID_VALUE;
  ++fovea_test_launches;
  const auto kernel = static_cast<KernelId>(reinterpret_cast<uintptr_t>(f) - 1);
  try {
    fovea::test::run_simt({kernel, x, threads, shared}, params[0], 0);
  } catch (...) { failed = true; }
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* s, unsigned) { return give(s); }
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return state(); }
CUresult cuEventCreate(CUevent* e, unsigned) { return give(e); }
CUresult cuEventDestroy(CUevent) { return state(); }
CUresult cuEventRecord(CUevent, CUstream) { return state(); }
CUresult cuEventSynchronize(CUevent) { return state(); }

CUresult cuMemAllocAsync(CUdeviceptr* p, size_t bytes, CUstream) {
  if (bytes > fovea_test_most_memory) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(memory, 0xFF, bytes);
  *p = reinterpret_cast<CUdeviceptr>(memory);
  const std::lock_guard lock(mutex);
  pieces[*p] = bytes;
  fovea_test_live_memory += static_cast<long long>(bytes);
  return state();
}
CUresult cuMemFreeAsync(CUdeviceptr p, CUstream) {
  const std::lock_guard lock(mutex);
  const auto it = pieces.find(p);
  if (it == pieces.end()) return CUDA_ERROR_INVALID_VALUE;
  fovea_test_live_memory -= static_cast<long long>(it->second);
  pieces.erase(it);
  std::free(at(p));
  return state();
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t n, CUstream) {
  return inside(to, n) ? std::memcpy(at(to), from, n), state() : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t n, CUstream) {
  return inside(from, n) ? std::memcpy(to, at(from), n), state() : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream) {
  return inside(to, n) && inside(from, n) ? std::memmove(at(to), at(from), n), state() : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream) { return fill(p, n, v, n, 1); }
CUresult cuMemsetD16Async(CUdeviceptr p, unsigned short v, size_t n, CUstream) { return fill(p, 2 * n, v, n, 1); }
CUresult cuMemsetD32Async(CUdeviceptr p, unsigned v, size_t n, CUstream) { return fill(p, 4 * n, v, n, 1); }
CUresult cuMemsetD2D32Async(CUdeviceptr p, size_t pitch, unsigned v, size_t width, size_t height, CUstream) {
  return fill(p, pitch, v, width, height);
}

#pragma GCC visibility pop
}
