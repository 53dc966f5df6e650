// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/index.cpp — operands that say where to read or write: gather, index_select, scatter_add,
// index_add.
#include <algorithm>
#include <cstring>

#include "engine/ops/ops.h"
#include "kernels/cpu/arrange/lines.h"
#include "kernels/cpu/arrange/mover.h"
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {
namespace {

// Says which of `size` places of a dimension an index names.
struct Checked {
  const OpDef* op;
  int dim;
  int64_t size;
  int64_t operator()(int64_t i) const {
    if (i < 0 || i >= size)
      throw Error(Error::Kind::argument,
                  str_cat(op->name(), ": index ", i, " is outside dimension ", dim, " of size ", size));
    return i;
  }
};

// The same elements, of which one stands for all along a dimension.
Meta still(Meta m, int dim) {
  m.strides[dim] = 0;
  return m;
}
// One index a place of `dim` for elements of this shape.
Meta spread(const Meta& index, const Shape& shape, int dim) {
  Meta m{index.dtype, index.device, shape, Dims::filled(shape.size(), 0)};
  m.strides[dim] = index.strides[0];
  return m;
}

// Every element of y is looked up; T is as large as one.
template <class T>
class GatherPlan final : public Plan {
 public:
  GatherPlan(const Site& s, int dim, const Meta& index, const Meta& x)
      : walk_({&s.result(), &index, &x}),
        checked_{&s.op, dim, s.operand(0).shape[dim]},
        along_(s.operand(0).strides[dim]) {
    name = "cpu:index";
  }
  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    const auto* index = reinterpret_cast<const int64_t*>(a.in[1]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    walk_.each([&](const auto& at, int64_t n) { some(index + at[1], x + at[2], y + at[0], n); });
  }

 private:
  void some(const int64_t* index, const T* x, T* y, int64_t n) const {
    const int64_t y_step = walk_.step(0), i_step = walk_.step(1), x_step = walk_.step(2);
    if (i_step == 0 && x_step == 1 && y_step == 1) {
      std::memcpy(y, x + checked_(*index) * along_, static_cast<size_t>(n) * sizeof(T));
      return;
    }
    for (int64_t i = 0; i < n; ++i) y[i * y_step] = x[i * x_step + checked_(index[i * i_step]) * along_];
  }

  Walk walk_;
  Checked checked_;
  int64_t along_;
};
PlanPtr plan_lookup(const Site& s, int dim, const Meta& index) {
  const Meta x = still(window(s.operand(0), s.result().shape), dim);
  if (s.result().numel() == 0) return nullptr;
  switch (size_of(x.dtype)) {
    case 1: return std::make_shared<GatherPlan<uint8_t>>(s, dim, index, x);
    case 2: return std::make_shared<GatherPlan<uint16_t>>(s, dim, index, x);
    case 4: return std::make_shared<GatherPlan<uint32_t>>(s, dim, index, x);
    default: return std::make_shared<GatherPlan<uint64_t>>(s, dim, index, x);
  }
}
PlanPtr plan_gather(const Site& s) { return plan_lookup(s, s.attrs<AxisAttrs>().dim, s.operand(1)); }
PlanPtr plan_index_select(const Site& s) {
  const int dim = s.attrs<AxisAttrs>().dim;
  return plan_lookup(s, dim, spread(s.operand(1), s.result().shape, dim));
}

// y starts as x, or as zeros. Whatever lies along `dim` at one place of the other dimensions is one thread's, so that
// sums have one order.
template <class T>
class ScatterPlan final : public Plan {
 public:
  // What the operands are called: x may be absent.
  struct Operands {
    int x, index, src;
  };
  ScatterPlan(const Site& s, int dim, Operands o, const Meta& index)
      : operands_(o),
        checked_{&s.op, dim, s.result().shape[dim]},
        size_(index.shape[dim]),
        y_along_(s.result().strides[dim]),
        i_along_(index.strides[dim]),
        src_along_(s.operand(o.src).strides[dim]),
        start_(o.x >= 0 ? Walk{&s.result(), &s.operand(o.x)} : Walk{&s.result()}),
        others_(walk_of(without(window(s.result(), index.shape), dim), without(index, dim),
                        without(s.operand(o.src), dim))) {
    name = "cpu:index";
  }
  bool possible() const { return start_.step(0) == 1; }
  void run(const Args& a, Stream&) const override {
    auto* y = reinterpret_cast<T*>(a.out[0]);
    const T* x = operands_.x >= 0 ? reinterpret_cast<const T*>(a.in[operands_.x]) : nullptr;
    start_.each([&](const auto& at, int64_t n) { begin(x ? x + at[1] : nullptr, y + at[0], n); });
    const auto* index = reinterpret_cast<const int64_t*>(a.in[operands_.index]);
    const T* src = reinterpret_cast<const T*>(a.in[operands_.src]);
    others_.each([&](const auto& at, int64_t n) { add(index + at[1], src + at[2], y + at[0], n); },
                 std::max<int64_t>(kLine, 16384 / (size_ + 1)));
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T); // threads that write to the same lines of a cache hold each other up
  static Walk walk_of(const Meta& y, const Meta& index, const Meta& src) { return Walk{&y, &index, &src}; }

  void begin(const T* x, T* y, int64_t n) const {
    const int64_t step = start_.step(1);
    if (!x || step == 0) std::fill_n(y, n, x ? *x : T{});
    else if (step == 1) std::copy_n(x, n, y);
    else
      for (int64_t i = 0; i < n; ++i) y[i] = x[i * step];
  }

  // n neighbours in the other dimensions: the loop inside is along what is nearer in memory.
  void add(const int64_t* index, const T* src, T* y, int64_t n) const {
    const int64_t y_step = others_.step(0), i_step = others_.step(1), src_step = others_.step(2);
    if (n == 1 || y_along_ < y_step) {
      for (int64_t i = 0; i < n; ++i, index += i_step, src += src_step, y += y_step)
        for (int64_t k = 0; k < size_; ++k) y[checked_(index[k * i_along_]) * y_along_] += src[k * src_along_];
      return;
    }
    for (int64_t k = 0; k < size_; ++k, index += i_along_, src += src_along_) {
      if (i_step == 0) {
        T* const to = y + checked_(*index) * y_along_;
        if (y_step == 1 && src_step == 1)
          for (int64_t i = 0; i < n; ++i) to[i] += src[i];
        else
          for (int64_t i = 0; i < n; ++i) to[i * y_step] += src[i * src_step];
        continue;
      }
      for (int64_t i = 0; i < n; ++i) y[i * y_step + checked_(index[i * i_step]) * y_along_] += src[i * src_step];
    }
  }

  Operands operands_;
  Checked checked_;
  int64_t size_, y_along_, i_along_, src_along_;
  Walk start_, others_;
};
template <class T>
PlanPtr plan_sums(const Site& s, int dim, typename ScatterPlan<T>::Operands o, const Meta& index) {
  auto plan = std::make_shared<ScatterPlan<T>>(s, dim, o, index);
  return plan->possible() ? plan : nullptr;
}
PlanPtr plan_sums(const Site& s, int dim, int x, int src, const Meta& index) {
  if (s.result().numel() == 0 || index.numel() == 0) return nullptr;
  if (s.result().dtype == DType::f32) return plan_sums<float>(s, dim, {x, 1, src}, index);
  if (s.result().dtype == DType::i64) return plan_sums<int64_t>(s, dim, {x, 1, src}, index);
  return nullptr;
}
PlanPtr plan_scatter_add(const Site& s) { return plan_sums(s, s.attrs<AxisAttrs>().dim, 0, 2, s.operand(1)); }
PlanPtr plan_index_add(const Site& s) {
  const int dim = s.attrs<AxisAttrs>().dim;
  return plan_sums(s, dim, -1, 0, spread(s.operand(1), s.operand(0).shape, dim));
}

constexpr Kernel table[] = {{&ops::gather, plan_gather},
                            {&ops::index_select, plan_index_select},
                            {&ops::scatter_add, plan_scatter_add},
                            {&ops::index_add, plan_index_add}};

}  // namespace

std::span<const Kernel> index_kernels() { return table; }

}  // namespace fovea::kernels::cpu
