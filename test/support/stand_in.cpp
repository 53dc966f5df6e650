// SPDX-License-Identifier: Apache-2.0
#include "test/support/stand_in.h"

#include <atomic>
#include <mutex>

#include "kernels/cuda/plan.h"
#include "test/support/far_device.h"
#include "test/support/simt.h"

namespace fovea::test {
namespace {

std::atomic<uint64_t> seed{0};
std::atomic<int64_t> launches{0};
std::mutex mutex;
std::map<std::string, int64_t> planned, lacking;

class SimtQueue final : public cuda::Queue {
 public:
  void launch(const cuda::Launch& l, const void* params, size_t) override {
    ++launches;
    run_simt(l, params, seed);
  }
};
SimtQueue queue;

PlanPtr plan_for(const Site& s) {
  for (const std::span<const Kernel>& table : cuda::own_kernels())
    for (const Kernel& k : table)
      if (k.op == &s.op)
        if (PlanPtr p = k.plan(s)) {
          const std::lock_guard lock(mutex);
          ++planned[std::string(s.op.name())];
          return p;
        }
  const std::lock_guard lock(mutex);
  ++lacking[std::string(s.op.name())];
  return nullptr;
}

}  // namespace

void add_stand_in() {
  static const bool added = [] {
    add_far_devices();
    use_kernels(stand_in().index, {.plan = plan_for, .convert = cuda::convert, .queue = &queue});
    return true;
  }();
  (void)added;
}

StandInWork stand_in_work() {
  const std::lock_guard lock(mutex);
  return {launches, planned, lacking};
}

UseSchedule::UseSchedule(uint64_t s) { seed = s; }
UseSchedule::~UseSchedule() { seed = 0; }

}  // namespace fovea::test
