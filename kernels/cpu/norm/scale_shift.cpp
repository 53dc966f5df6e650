// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/norm/scale_shift.cpp — a gain, a shift and an activation a channel, of one image or of several joined
// along their channels.
#include <algorithm>
#include <vector>

#include "engine/ops/lowered/fused.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

class ScaleShift : public Plan {
 protected:
  struct Part {
    int64_t channels, at;
  };
  explicit ScaleShift(const Site& s)
      : set_(&loops()), finish_(s.attrs<ScaleShiftAttrs>().epilogue), batch_(s.result().shape[0]),
        channels_(s.result().shape[1]), places_(s.result().numel() / (batch_ * channels_)) {
    int64_t at = 0;
    for (size_t i = 2; i < s.in.size(); ++i) {
      parts_.push_back({s.in[i].shape[1], at});
      at += s.in[i].shape[1];
    }
    name = str_cat("cpu:", set_->name);
  }

  const Loops* set_;
  Finish finish_;
  std::vector<Part> parts_;
  int64_t batch_, channels_, places_;
};

template <class T>
class LastPlan final : public ScaleShift {
 public:
  explicit LastPlan(const Site& s) : ScaleShift(s) {
    if (!std::is_same_v<T, float>) name += " bf16";
  }
  void run(const Args& a, Stream&) const override {
    const int64_t block = kElements / channels_ + 1;
    parallel_for(batch_ * places_, block / 4 + 1, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; r += block) some(a, r, std::min(block, last - r));
    });
  }

 private:
  static constexpr int64_t kElements = 65536;      // of a block: short runs of a part start slowly

  void some(const Args& a, int64_t first, int64_t rows) const {
    T* const y = reinterpret_cast<T*>(a.out[0]) + first * channels_;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& p = parts_[i];
      const ChannelRows<T> t{.x = reinterpret_cast<const T*>(a.in[2 + i]) + first * p.channels,
                             .gain = floats(a.in[0]) + p.at,
                             .shift = floats(a.in[1]) + p.at,
                             .y = y + p.at,
                             .x_step = p.channels,
                             .y_step = channels_,
                             .rows = rows,
                             .channels = p.channels,
                             .lo = finish_.lo,
                             .hi = finish_.hi};
      if constexpr (std::is_same_v<T, float>) set_->channel_rows(t);
      else set_->channel_rows_bf16(t);
    }
    if (!finish_.map) return;
    const Epilogue& e = finish_.act;
    if constexpr (std::is_same_v<T, float>) set_->unary(e.act, e.a, e.b, y, y, rows * channels_);
    else set_->unary_bf16(e.act, e.a, e.b, y, y, rows * channels_);
  }
};

class PlanesPlan final : public ScaleShift {
 public:
  explicit PlanesPlan(const Site& s) : ScaleShift(s) {}
  void run(const Args& a, Stream&) const override {
    parallel_for(batch_ * channels_, 16384 / (places_ + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) plane(a, i / channels_, i % channels_);
    });
  }

 private:
  void plane(const Args& a, int64_t image, int64_t c) const {
    size_t i = 0;
    while (c >= parts_[i].at + parts_[i].channels) ++i;
    const float* const x = floats(a.in[2 + i]) + (image * parts_[i].channels + c - parts_[i].at) * places_;
    float* const y = floats(a.out[0]) + (image * channels_ + c) * places_;
    set_->unary(Unary::affine, floats(a.in[0])[c], floats(a.in[1])[c], x, y, places_);
    const Epilogue& e = finish_.act;
    if (e.act != Unary::identity) set_->unary(e.act, e.a, e.b, y, y, places_);
  }
};

PlanPtr plan_scale_shift(const Site& s) {
  const Meta& y = s.result();
  if (y.numel() == 0 || !loops().has_unary(s.attrs<ScaleShiftAttrs>().epilogue.act)) return nullptr;
  const auto all_lie = [&](Memory order) {
    return lies_as(y, order) &&
           std::all_of(s.in.begin() + 2, s.in.end(), [&](const Meta& x) { return lies_as(x, order); });
  };
  for (int i = 0; i < 2; ++i)
    if (s.operand(i).dtype != DType::f32 || !lies_as(s.operand(i), Memory::contiguous)) return nullptr;
  if (all_lie(Memory::channels_last)) {
    if (y.dtype == DType::f32) return std::make_shared<LastPlan<float>>(s);
    if (y.dtype == DType::bf16) return std::make_shared<LastPlan<bfloat16>>(s);
  }
  return y.dtype == DType::f32 && all_lie(Memory::contiguous) ? std::make_shared<PlanesPlan>(s) : nullptr;
}

constexpr Kernel table[] = {{&ops::scale_shift, plan_scale_shift}};

}  // namespace

std::span<const Kernel> scale_shift_kernels() { return table; }

}  // namespace fovea::kernels::cpu
