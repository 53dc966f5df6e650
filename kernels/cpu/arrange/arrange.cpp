// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/arrange.cpp — moving elements: copy between memory orders, cat, pad, roll; and cast between
// f32 and 16-bit types, f64, integers and bool.
#include <algorithm>
#include <vector>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/mover.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/resize/separable.h"

namespace fovea::kernels::cpu {
namespace {

struct CopyPlan final : Plan {
  explicit CopyPlan(const Site& s) : mover(s.operand(0), s.result()) { name = "cpu:copy"; }
  void run(const Args& a, Stream&) const override { mover(a.in[0], a.out[0]); }
  Mover mover;
};
PlanPtr plan_copy(const Site& s) {
  if (s.operand(0).dtype != s.result().dtype || s.result().numel() == 0) return nullptr;
  auto plan = std::make_shared<CopyPlan>(s);
  return plan->mover.possible() ? plan : nullptr;
}

class CatPlan final : public Plan {
 public:
  explicit CatPlan(const Site& s) {
    const int dim = s.attrs<AxisAttrs>().dim;
    int64_t at = 0;
    for (const Meta& m : s.in) {
      if (m.numel() > 0)
        movers_.push_back({Mover(m, window(s.result(), m.shape)), at * s.result().strides[dim], operands_});
      at += m.shape[dim];
      ++operands_;
    }
    element_ = size_of(s.result().dtype);
    name = "cpu:copy";
  }
  bool possible() const {
    return std::all_of(movers_.begin(), movers_.end(), [](const Part& p) { return p.mover.possible(); });
  }
  void run(const Args& a, Stream&) const override {
    for (const Part& p : movers_) p.mover(a.in[p.operand], a.out[0] + static_cast<size_t>(p.at) * element_);
  }

 private:
  struct Part {
    Mover mover;
    int64_t at;
    int operand;
  };
  std::vector<Part> movers_;
  int operands_ = 0;
  size_t element_;
};
PlanPtr plan_cat(const Site& s) {
  for (const Meta& m : s.in)
    if (!m.present() || m.dtype != s.result().dtype || m.rank() != s.result().rank()) return nullptr;
  if (s.result().numel() == 0) return nullptr;
  auto plan = std::make_shared<CatPlan>(s);
  return plan->possible() ? plan : nullptr;
}

// Of a pad: what of x is within the result, and where it starts on both sides, in elements.
struct Inside {
  Shape shape;
  int64_t from = 0, to = 0;
  Inside(const Site& s, const PadAttrs& a) {
    const Meta &x = s.operand(0), &y = s.result();
    for (int i = 0; i < x.rank(); ++i) {
      shape.push_back(
          std::max<int64_t>(0, x.shape[i] + std::min<int64_t>(0, a.lo[i]) + std::min<int64_t>(0, a.hi[i])));
      from += std::max<int64_t>(0, -a.lo[i]) * x.strides[i];
      to += std::max<int64_t>(0, a.lo[i]) * y.strides[i];
    }
  }
};

// Constant padding and cropping: the frame is filled, then what x gives is copied.
template <class T>
class PadPlan final : public Plan {
 public:
  PadPlan(const Site& s, const PadAttrs& a, T value)
      : value_(value),
        count_(s.result().numel()),
        inside_(s, a),
        mover_(window(s.operand(0), inside_.shape), window(s.result(), inside_.shape)) {
    crops_only_ = numel(inside_.shape) == count_;
    empty_ = numel(inside_.shape) == 0;
    name = "cpu:copy";
  }
  bool possible() const { return mover_.possible() || empty_; }
  void run(const Args& a, Stream&) const override {
    auto* y = reinterpret_cast<T*>(a.out[0]);
    if (!crops_only_)
      parallel_for(count_, 65536, [&](int64_t first, int64_t last) { std::fill(y + first, y + last, value_); });
    if (!empty_) mover_(a.in[0] + inside_.from * kElement, a.out[0] + inside_.to * kElement);
  }

 private:
  static constexpr int64_t kElement = sizeof(T);
  T value_;
  int64_t count_;
  Inside inside_;
  Mover mover_;
  bool crops_only_, empty_;
};

// The element of 0 ... n - 1 that stands at i, at most n before or behind them.
int64_t repeated(PadMode mode, int64_t i, int64_t n) {
  switch (mode) {
    case PadMode::reflect: return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    case PadMode::circular: return i < 0 ? i + n : i >= n ? i - n : i;
    default: return std::clamp<int64_t>(i, 0, n - 1);
  }
}

// Padding by what x has itself: x is copied; then, one dimension after the other, the frame takes its slices from what
// is there.
class RepeatingPadPlan final : public Plan {
 public:
  explicit RepeatingPadPlan(const Site& s)
      : inside_(s, s.attrs<PadAttrs>()),
        element_(static_cast<int64_t>(size_of(s.result().dtype))),
        mover_(s.operand(0), window(s.result(), inside_.shape)) {
    const auto& a = s.attrs<PadAttrs>();
    const Meta& y = s.result();
    Shape slice = s.operand(0).shape;
    int64_t start = inside_.to;
    for (int d = 0; d < y.rank(); ++d) {
      const int64_t n = slice[d], step = y.strides[d];
      slice[d] = 1;
      for (int64_t i = -a.lo[d]; i < n + a.hi[d]; ++i)
        if (i < 0 || i >= n)
          frame_.push_back({Mover(window(y, slice), window(y, slice)), start + repeated(a.mode, i, n) * step,
                            start + i * step});
      start -= a.lo[d] * step;
      slice[d] = y.shape[d];
    }
    name = "cpu:copy";
  }
  bool possible() const { return mover_.possible(); }  // what lies alike on both sides always is
  void run(const Args& a, Stream&) const override {
    mover_(a.in[0], a.out[0] + inside_.to * element_);
    for (const Slice& f : frame_) f.mover(a.out[0] + f.from * element_, a.out[0] + f.to * element_);
  }

 private:
  struct Slice {
    Mover mover;
    int64_t from, to;
  };
  Inside inside_;
  int64_t element_;
  Mover mover_;
  std::vector<Slice> frame_;
};

template <class P, class... A>
PlanPtr possible_plan(const Site& s, A... a) {
  auto plan = std::make_shared<P>(s, a...);
  return plan->possible() ? plan : nullptr;
}
PlanPtr plan_pad(const Site& s) {
  const auto& a = s.attrs<PadAttrs>();
  if (s.operand(0).dtype != s.result().dtype || s.result().numel() == 0) return nullptr;
  if (!lies_as(s.result(), Memory::contiguous) && !lies_as(s.result(), Memory::channels_last)) return nullptr;
  if (a.mode != PadMode::constant) return possible_plan<RepeatingPadPlan>(s);
  if (all_f32(s)) return possible_plan<PadPlan<float>>(s, a, a.value);
  if (all_bf16(s)) return possible_plan<PadPlan<uint16_t>>(s, a, to_bfloat16(a.value).bits);
  return nullptr;
}
// Of images, whose own elements also stand in the frame.
PlanPtr plan_repeating_pad_dx(const Site& s) {
  const auto& a = s.attrs<PadAttrs>();
  const Shape& x = s.result().shape;
  const int n = x.size();
  if (n < 3 || n > 4 || a.lo[0] || a.hi[0] || a.lo[1] || a.hi[1]) return nullptr;
  const auto along = [&](int dim) {
    const bool pads = dim >= 2;                    // a line has one row, which is not padded
    const int64_t size = pads ? x[dim] : 1, lo = pads ? a.lo[dim] : 0, hi = pads ? a.hi[dim] : 0;
    Taps taps;
    for (int64_t i = -lo; i < size + hi; ++i) {
      taps.begin();
      taps.add(repeated(a.mode, i, size), 1);
    }
    return turned(taps, size);
  };
  return separable_plan(s, along(n - 2), along(n - 1));
}
// The gradient of a frame is nothing: amounts the other way round crop where the pad added, and add zeros where it
// cropped.
PlanPtr plan_pad_dx(const Site& s) {
  PadAttrs a = s.attrs<PadAttrs>();
  if (s.result().numel() == 0) return nullptr;
  if (a.mode != PadMode::constant) return plan_repeating_pad_dx(s);
  for (Dims* amounts : {&a.lo, &a.hi})
    for (int64_t& n : *amounts) n = -n;
  if (all_f32(s)) return possible_plan<PadPlan<float>>(s, a, 0.f);
  if (all_bf16(s)) return possible_plan<PadPlan<uint16_t>>(s, a, uint16_t{0});
  return nullptr;
}

// Rolling along k axes moves 2^k blocks, each by its own copy.
class RollPlan final : public Plan {
 public:
  explicit RollPlan(const Site& s) : element_(size_of(s.result().dtype)) {
    const auto& a = s.attrs<DimsAttrs>();
    blocks_.push_back({Shape(s.result().shape), 0, 0});
    for (int i = 0; i < a.axes.size(); ++i) {
      const auto dim = static_cast<int>(a.axes[i]);
      const int64_t n = s.result().shape[dim], shift = n ? (a.shifts[i] % n + n) % n : 0;
      if (shift) split(dim, shift, n, s.operand(0).strides[dim], s.result().strides[dim]);
    }
    for (const Block& b : blocks_) movers_.emplace_back(window(s.operand(0), b.shape), window(s.result(), b.shape));
    name = "cpu:copy";
  }
  bool possible() const {
    return std::all_of(movers_.begin(), movers_.end(), [](const Mover& m) { return m.possible(); });
  }
  void run(const Args& a, Stream&) const override {
    for (size_t i = 0; i < movers_.size(); ++i)
      movers_[i](a.in[0] + static_cast<size_t>(blocks_[i].from) * element_,
                 a.out[0] + static_cast<size_t>(blocks_[i].to) * element_);
  }

 private:
  struct Block {
    Shape shape;
    int64_t from, to;                              // where it starts, in elements
  };
  // Every block so far spans the whole of `dim`: what comes first goes behind what came last.
  void split(int dim, int64_t shift, int64_t n, int64_t x_step, int64_t y_step) {
    std::vector<Block> parts;
    for (const Block& b : blocks_) {
      Block first = b, last = b;
      first.shape[dim] = n - shift;
      first.to += shift * y_step;
      last.shape[dim] = shift;
      last.from += (n - shift) * x_step;
      parts.push_back(first);
      parts.push_back(last);
    }
    blocks_ = std::move(parts);
  }
  std::vector<Block> blocks_;
  std::vector<Mover> movers_;
  size_t element_;
};
PlanPtr plan_roll(const Site& s) {
  const auto& a = s.attrs<DimsAttrs>();
  for (int i = 0; i < a.axes.size(); ++i)
    for (int j = 0; j < i; ++j)
      if (a.axes[i] == a.axes[j]) return nullptr;
  if (s.result().numel() == 0) return nullptr;
  auto plan = std::make_shared<RollPlan>(s);
  return plan->possible() ? plan : nullptr;
}

class CastPlan final : public Plan {
 public:
  CastPlan(const Site& s, void (*range)(const void*, void*, int64_t))
      : walk_({&s.result(), &s.operand(0)}),
        from_(size_of(s.operand(0).dtype)),
        to_(size_of(s.result().dtype)),
        range_(range) {
    name = str_cat("cpu:", loops().name);
  }
  bool possible() const { return walk_.step(0) == 1 && walk_.step(1) == 1; }
  void run(const Args& a, Stream&) const override {
    walk_.each([&](const auto& at, int64_t n) {
      range_(a.in[0] + static_cast<size_t>(at[1]) * from_, a.out[0] + static_cast<size_t>(at[0]) * to_, n);
    });
  }

 private:
  Walk walk_;
  size_t from_, to_;
  void (*range_)(const void*, void*, int64_t);
};
template <class From, class To>
void cast_each(const void* from, void* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<To*>(to)[i] = static_cast<To>(static_cast<const From*>(from)[i]);
}
PlanPtr plan_cast(const Site& s) {
  const DType from = s.operand(0).dtype, to = s.result().dtype;
  const Loops& l = loops();
  void (*range)(const void*, void*, int64_t) = nullptr;
  if (from == DType::bf16 && to == DType::f32) range = l.from_bf16;
  if (from == DType::f32 && to == DType::bf16) range = l.to_bf16;
  if (from == DType::f16 && to == DType::f32) range = l.from_f16;
  if (from == DType::f32 && to == DType::f16) range = l.to_f16;
  if (from == DType::f64 && to == DType::f32) range = cast_each<double, float>;
  if (from == DType::f32 && to == DType::f64) range = cast_each<float, double>;
  if (from == DType::i64 && to == DType::f32) range = cast_each<int64_t, float>;
  if (from == DType::f32 && to == DType::i64) range = cast_each<float, int64_t>;
  if (from == DType::boolean && to == DType::f32) range = cast_each<bool, float>;
  if (!range) return nullptr;
  auto plan = std::make_shared<CastPlan>(s, range);
  return plan->possible() ? plan : nullptr;
}

constexpr Kernel table[] = {{&ops::copy, plan_copy},     {&ops::cat, plan_cat},   {&ops::pad, plan_pad},
                            {&ops::pad_dx, plan_pad_dx}, {&ops::roll, plan_roll}, {&ops::cast, plan_cast}};

}  // namespace

std::span<const Kernel> arrange_kernels() { return table; }

}  // namespace fovea::kernels::cpu
