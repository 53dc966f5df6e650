// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/runtime.h — NVIDIA's GPUs as devices of the engine.
#pragma once
#include "engine/core/runtime.h"

namespace fovea::cuda {

/// Streams, memory in stream order by the driver's pool, copies and events. Every function throws what driver() throws
/// where there is no driver, devices() included, so that whoever asks for a GPU learns why there is none.
class GpuRuntime final : public Runtime {
 public:
  int devices() const override;
  Stream stream(Device d, int number) const override;
  std::shared_ptr<Storage> allocate(size_t bytes, const Stream& s) const override;
  void upload(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override;
  void download(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override;
  void copy(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override;
  void fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream& s) const override;
  Event record(const Stream& s) const override;
  void wait(const Stream& s, const Event& e) const override;
  void wait(const Event& e) const override;
};
extern const GpuRuntime gpu_runtime;

}  // namespace fovea::cuda
