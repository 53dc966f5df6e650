// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/random/random.cpp — random tensors: element i is number i % 4 of counter i / 4, whichever thread draws
// it.
#include <algorithm>
#include <cstring>

#include "engine/core/philox.h"
#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kGroups = 256;                   // of four numbers, drawn at a time

class RandomPlan final : public Plan {
 public:
  explicit RandomPlan(const Site& s)
      : attrs_(s.attrs<RandomAttrs>()), set_(&loops()), count_(s.result().numel()), dtype_(s.result().dtype) {
    name = str_cat("cpu:random ", set_->name);
  }
  void run(const Args& a, Stream&) const override {
    uint64_t step = 0;
    if (a.in[0]) std::memcpy(&step, a.in[0], sizeof step);
    const int64_t blocks = (count_ + 4 * kGroups - 1) / (4 * kGroups);
    parallel_for(blocks, attrs_.kind == Random::normal ? 1 : 8, [&](int64_t first, int64_t last) {
      alignas(64) float drawn[4 * kGroups];
      for (int64_t i = first; i < last; ++i) {
        const int64_t from = i * 4 * kGroups, n = std::min(count_ - from, 4 * kGroups);
        std::byte* to = a.out[0] + from * static_cast<int64_t>(size_of(dtype_));
        if (attrs_.kind == Random::normal) {
          draw_normal(i * kGroups, step, drawn, n);
        } else {
          set_->uniform(static_cast<uint64_t>(attrs_.key), static_cast<uint64_t>(i * kGroups), step, drawn,
                        (n + 3) / 4);
        }
        if (dtype_ == DType::boolean) store_kept(drawn, reinterpret_cast<bool*>(to), n);
        else if (attrs_.kind == Random::bernoulli) store_kept(drawn, floats(to), n);
        else std::copy_n(drawn, n, floats(to));
      }
    });
  }

 private:
  // Logarithms and angles are the C library's in double, as everywhere: the same bits on every backend.
  void draw_normal(int64_t counter, uint64_t step, float* to, int64_t n) const {
    for (int64_t i = 0; i < n; i += 4, ++counter) {
      const std::array<double, 4> four =
          normal4(static_cast<uint64_t>(attrs_.key), static_cast<uint64_t>(counter), step);
      for (size_t k = 0; k < 4; ++k) to[i + static_cast<int64_t>(k)] = static_cast<float>(four[k]);
    }
  }
  template <class T>
  void store_kept(const float* drawn, T* to, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(drawn[i] < attrs_.p);
  }

  RandomAttrs attrs_;
  const Loops* set_;
  int64_t count_;
  DType dtype_;
};
PlanPtr plan_random(const Site& s) {
  const DType t = s.result().dtype;
  if (t != DType::f32 && t != DType::boolean) return nullptr;
  return std::make_shared<RandomPlan>(s);
}

constexpr Kernel table[] = {{&ops::random, plan_random}};

}  // namespace

std::span<const Kernel> random_kernels() { return table; }

}  // namespace fovea::kernels::cpu
