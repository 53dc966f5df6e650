// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/strided.cpp — copies with other steps: flip goes backwards, unslice puts what slice took back
// among zeros.
#include <cstring>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/mover.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

// x as it looks from its last element along each of the axes.
Meta backwards(Meta x, const Dims& axes) {
  for (const int64_t axis : axes) x.strides[static_cast<int>(axis)] *= -1;
  return x;
}

class FlipPlan final : public Plan {
 public:
  explicit FlipPlan(const Site& s)
      : mover_(backwards(s.operand(0), s.attrs<DimsAttrs>().axes), s.result()) {
    const Meta& x = s.operand(0);
    for (const int64_t axis : s.attrs<DimsAttrs>().axes) {
      const auto i = static_cast<int>(axis);
      start_ += (x.shape[i] - 1) * x.strides[i];
    }
    start_ *= static_cast<int64_t>(size_of(x.dtype));
    name = "cpu:copy";
  }
  bool possible() const { return mover_.possible(); }
  void run(const Args& a, Stream&) const override { mover_(a.in[0] + start_, a.out[0]); }

 private:
  Mover mover_;
  int64_t start_ = 0;                              // in bytes
};
PlanPtr plan_flip(const Site& s) {
  if (s.result().numel() == 0) return nullptr;
  auto plan = std::make_shared<FlipPlan>(s);
  return plan->possible() ? plan : nullptr;
}

// The elements of y that slice would take.
Meta taken(const Meta& y, const Shape& shape, const SliceAttrs& a) {
  Meta m = window(y, shape);
  m.strides[a.dim] *= a.step;
  return m;
}

class UnslicePlan final : public Plan {
 public:
  explicit UnslicePlan(const Site& s)
      : mover_(s.operand(0), taken(s.result(), s.operand(0).shape, s.attrs<SliceAttrs>())) {
    const auto& a = s.attrs<SliceAttrs>();
    const Meta& y = s.result();
    bytes_ = y.bytes();
    start_ = a.start * y.strides[a.dim] * static_cast<int64_t>(size_of(y.dtype));
    empty_ = s.operand(0).numel() == 0;
    name = "cpu:copy";
  }
  bool possible() const { return mover_.possible() || empty_; }
  void run(const Args& a, Stream&) const override {
    parallel_for(bytes_, 1 << 17, [&](int64_t first, int64_t last) {
      std::memset(a.out[0] + first, 0, static_cast<size_t>(last - first));
    });
    if (!empty_) mover_(a.in[0], a.out[0] + start_);
  }

 private:
  Mover mover_;
  int64_t bytes_, start_;
  bool empty_;
};
PlanPtr plan_unslice(const Site& s) {
  const Meta& y = s.result();
  if (y.numel() == 0 || (!lies_as(y, Memory::contiguous) && !lies_as(y, Memory::channels_last))) return nullptr;
  auto plan = std::make_shared<UnslicePlan>(s);
  return plan->possible() ? plan : nullptr;
}

constexpr Kernel table[] = {{&ops::flip, plan_flip}, {&ops::unslice, plan_unslice}};

}  // namespace

std::span<const Kernel> strided_kernels() { return table; }

}  // namespace fovea::kernels::cpu
