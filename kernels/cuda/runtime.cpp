// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/runtime.h"

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>

#include "engine/core/out_of_memory.h"
#include "engine/core/tensor.h"
#include "kernels/cuda/driver.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/module.h"

namespace fovea::cuda {
namespace {

CUdeviceptr address(const std::byte* p) { return reinterpret_cast<CUdeviceptr>(p); }

class GpuQueue;

// One GPU: its context, the kernels that were loaded there, and its streams, which live as long as the process.
class Gpu {
 public:
  explicit Gpu(Device d) : device(d) {
    const Driver& cu = driver();
    CUdevice handle{};
    check(cu.cuDeviceGet(&handle, d.index), "cuDeviceGet");
    check(cu.cuDevicePrimaryCtxRetain(&context_, handle), "cuDevicePrimaryCtxRetain");
    enter();
    check(cu.cuModuleLoadData(&module_, own_module()), "loading fovea's kernels");
  }
  CUcontext context() const { return context_; }
  void enter() const { check(driver().cuCtxSetCurrent(context_), "cuCtxSetCurrent"); }

  CUfunction function(KernelId k) {
    const std::lock_guard lock(mutex_);
    CUfunction& f = functions_[static_cast<size_t>(k)];
    if (!f) check(driver().cuModuleGetFunction(&f, module_, str_cat("fovea_", name_of(k)).c_str()), name_of(k));
    return f;
  }
  GpuQueue& queue(int number);

  const Device device;

 private:
  CUcontext context_{};
  CUmodule module_{};
  std::array<CUfunction, static_cast<size_t>(KernelId::count_)> functions_{};
  std::deque<GpuQueue> queues_;
  std::mutex mutex_;
};

class GpuQueue final : public Queue {
 public:
  explicit GpuQueue(Gpu& home) : gpu(home) {
    check(driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  }
  void launch(const Launch& l, const void* params, size_t) override {
    gpu.enter();
    void* arguments[] = {const_cast<void*>(params)};
    check(driver().cuLaunchKernel(gpu.function(l.kernel), l.blocks, 1, 1, l.threads, 1, 1, l.shared, stream, arguments,
                                  nullptr),
          name_of(l.kernel));
  }

  Gpu& gpu;
  CUstream stream{};
};

GpuQueue& Gpu::queue(int number) {
  const std::lock_guard lock(mutex_);
  enter();
  while (queues_.size() <= static_cast<size_t>(number)) queues_.emplace_back(*this);
  return queues_[static_cast<size_t>(number)];
}

GpuQueue& queue_of(const Stream& s) {
  auto& q = *static_cast<GpuQueue*>(static_cast<Queue*>(s.handle));
  q.gpu.enter();
  return q;
}

Gpu& gpu_of(Device d) {
  constexpr size_t kMost = 128;                    // indices are int8_t
  static std::mutex* const mutex = new std::mutex;
  static auto* const all = new std::array<std::unique_ptr<Gpu>, kMost>;
  const std::lock_guard lock(*mutex);
  std::unique_ptr<Gpu>& gpu = (*all)[static_cast<size_t>(d.index)];
  if (!gpu) gpu = std::make_unique<Gpu>(d);
  return *gpu;
}

}  // namespace

constinit const GpuRuntime gpu_runtime;

int GpuRuntime::devices() const {
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  return count;
}

Stream GpuRuntime::stream(Device d, int number) const {
  constexpr int kStreams = 32;
  if (number < 0 || number >= kStreams)
    throw Error(Error::Kind::argument, str_cat("stream ", number, " of ", d, ", which has ", kStreams));
  return {d, static_cast<Queue*>(&gpu_of(d).queue(number))};
}

std::shared_ptr<Storage> GpuRuntime::allocate(size_t bytes, const Stream& s) const {
  GpuQueue& q = queue_of(s);
  CUdeviceptr p = 0;
  const CUresult r = driver().cuMemAllocAsync(&p, bytes ? bytes : 1, q.stream);
  if (r == CUDA_ERROR_OUT_OF_MEMORY) {
    size_t free = 0, total = 0;
    check(driver().cuMemGetInfo(&free, &total), "cuMemGetInfo");
    throw OutOfMemory(str_cat("no memory for ", bytes, " bytes on ", s.device, ", which has ", total, ", of them ",
                              free, " free"));
  }
  check(r, "cuMemAllocAsync");
  auto storage = std::make_shared<Storage>();
  storage->data = reinterpret_cast<std::byte*>(p);
  storage->bytes = bytes;
  storage->device = s.device;
  storage->stream = s.handle;
  storage->keep = std::shared_ptr<void>(storage->data, [&q, p](void*) {
    driver().cuCtxSetCurrent(q.gpu.context());   // errors are left to those who wait: nobody can throw here
    driver().cuMemFreeAsync(p, q.stream);
  });
  return storage;
}

void GpuRuntime::upload(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const {
  if (bytes) check(driver().cuMemcpyHtoDAsync(address(to), from, bytes, queue_of(s).stream), "copying to a GPU");
}
void GpuRuntime::download(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const {
  if (bytes) check(driver().cuMemcpyDtoHAsync(to, address(from), bytes, queue_of(s).stream), "copying from a GPU");
}
void GpuRuntime::copy(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const {
  if (bytes) check(driver().cuMemcpyAsync(address(to), address(from), bytes, queue_of(s).stream), "copying on a GPU");
}

void GpuRuntime::fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream& s) const {
  if (count <= 0) return;
  const CUstream stream = queue_of(s).stream;
  const auto n = static_cast<size_t>(count);
  uint32_t words[2] = {};
  std::memcpy(words, element, size);
  const CUdeviceptr p = address(to);
  const Driver& cu = driver();
  switch (size) {
    case 1: return check(cu.cuMemsetD8Async(p, static_cast<unsigned char>(words[0]), n, stream), "filling");
    case 2: return check(cu.cuMemsetD16Async(p, static_cast<unsigned short>(words[0]), n, stream), "filling");
    case 4: return check(cu.cuMemsetD32Async(p, words[0], n, stream), "filling");
    default:                                     // columns of lower and of upper halves
      check(cu.cuMemsetD2D32Async(p, 8, words[0], 1, n, stream), "filling");
      check(cu.cuMemsetD2D32Async(p + 4, 8, words[1], 1, n, stream), "filling");
  }
}

Event GpuRuntime::record(const Stream& s) const {
  GpuQueue& q = queue_of(s);
  CUevent event{};
  check(driver().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  Event owned(event, [](void* e) { driver().cuEventDestroy(static_cast<CUevent>(e)); });
  check(driver().cuEventRecord(event, q.stream), "cuEventRecord");
  return owned;
}
void GpuRuntime::wait(const Stream& s, const Event& e) const {
  if (e) check(driver().cuStreamWaitEvent(queue_of(s).stream, static_cast<CUevent>(e.get()), 0), "cuStreamWaitEvent");
}
void GpuRuntime::wait(const Event& e) const {
  if (e) check(driver().cuEventSynchronize(static_cast<CUevent>(e.get())), "work that was queued on a GPU");
}

}  // namespace fovea::cuda
