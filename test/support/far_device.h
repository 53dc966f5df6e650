// SPDX-License-Identifier: Apache-2.0
// test/support/far_device.h — devices whose memory the host cannot touch and whose work is late: far:0, far:1, far:2.
#pragma once
#include <cstdint>

#include "engine/core/backend.h"
#include "engine/core/runtime.h"

namespace fovea::test {

/// Stand-ins for GPUs. Their addresses are reserved memory without access rights; the bytes lie in a second mapping
/// that only their kernels see. Kernels (those of `ref`, and some that pack their weights), copies and fills are queued
/// and done in order by a thread of each stream, late: some wait until somebody asks for what comes after them. Memory
/// that is new, or given back, holds bytes 0xFF, and AddressSanitizer knows how long each piece is. So a forgotten copy
/// is a fault, and a forgotten wait gives wrong numbers.
constexpr Device far_device(int index = 0) { return {Device::Kind::far, static_cast<int8_t>(index)}; }

/// Adds the backend once; called by whoever uses the devices.
void add_far_devices();

/// Kernels in place of ref's for one of the devices, once. They run on its queues' threads and see its bytes; `queue`
/// is what the Stream's handle is there. What `plan` has nothing for stays with ref.
struct FarKernels {
  PlanPtr (*plan)(const Site&) = nullptr;
  decltype(Backend::convert) convert = nullptr;
  void* queue = nullptr;
};
void use_kernels(int device, const FarKernels& k);

/// What all of them did so far.
struct FarWork {
  int64_t kernels = 0, uploads = 0, downloads = 0, copies = 0, fills = 0, allocations = 0, events = 0, packed = 0;
  int64_t waits = 0;                               // of the host
  int64_t live_bytes = 0;                          // allocated and not given back
};
FarWork far_work();

}  // namespace fovea::test
