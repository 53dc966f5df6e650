// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/reduce/reduce.cpp — sums, means and extremes along axes in both memory orders, and softmax along an axis.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/ops/ops.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

struct Loop {
  int64_t size, x, y;                              // steps in elements; y is 0 where the loop is reduced
  bool reduced;
};

// The dimensions of x from the slowest to the fastest, neighbours of one kind merged.
struct LoopNest {
  std::array<Loop, Dims::kMax> at;
  int count = 0;
};
LoopNest loops_of(const Site& s, const ReduceAttrs& a) {
  const Meta &x = s.operand(0), &y = s.result();
  LoopNest all, merged;
  for (int i = 0, kept = 0; i < x.rank(); ++i) {
    const bool reduced = std::find(a.axes.begin(), a.axes.end(), i) != a.axes.end();
    const int to = a.keepdim ? i : kept;
    kept += !reduced;
    if (x.shape[i] != 1) all.at[all.count++] = {x.shape[i], x.strides[i], reduced ? 0 : y.strides[to], reduced};
  }
  std::stable_sort(all.at.begin(), all.at.begin() + all.count, [](const Loop& l, const Loop& r) { return l.x > r.x; });
  for (int i = 0; i < all.count; ++i) {
    Loop l = all.at[i];
    if (merged.count) {
      Loop& before = merged.at[merged.count - 1];
      if (before.reduced == l.reduced && before.x == l.x * l.size && before.y == l.y * l.size) {
        l.size *= before.size;
        before = l;
        continue;
      }
    }
    merged.at[merged.count++] = l;
  }
  return merged;
}

struct Nest {                                      // loops of one kind outside the innermost
  std::array<Loop, Dims::kMax> at;
  int count = 0;
  int64_t total = 1;
  void add(const Loop& l) {
    at[count++] = l;
    total *= l.size;
  }
  std::pair<int64_t, int64_t> offsets(int64_t i) const {
    int64_t x = 0, y = 0;
    for (int k = count - 1; k >= 0; --k) {
      const int64_t index = i % at[k].size;
      i /= at[k].size;
      x += index * at[k].x;
      y += index * at[k].y;
    }
    return {x, y};
  }
};

// Of f32 or bf16, with sums in f32.
template <class T>
class ReducePlan final : public Plan {
 public:
  ReducePlan(const LoopNest& all, Reduce fn, int64_t reduced) : set_(&loops()), fn_(fn) {
    for (int i = 0; i + 1 < all.count; ++i) (all.at[i].reduced ? reduced_ : kept_).add(all.at[i]);
    if (all.count) inner_ = all.at[all.count - 1];
    share_ = fn == Reduce::mean ? static_cast<float>(1.0 / static_cast<double>(reduced)) : 1.f;
    chunks_ = inner_.reduced ? 1 : (inner_.size + kColumns - 1) / kColumns;
    // Many elements: parts of the reduced loop first, then the parts together. How many depends neither on threads nor
    // on the batch, so that an image has the same sums alone and among others.
    if (reduced * width() >= 16384) parts_ = std::clamp<int64_t>(reduced_.total / kPart, 1, kMostParts);
    if (parts_ > 1) scratch = aligned(static_cast<size_t>(parts_ * kept_.total * width()) * 4);
    name = str_cat("cpu:", set_->name, std::is_same_v<T, float> ? "" : " bf16");
  }

  void run(const Args& a, Stream&) const override {
    const auto* x = reinterpret_cast<const T*>(a.in[0]);
    auto* y = reinterpret_cast<T*>(a.out[0]);
    float* parts = floats(a.scratch);
    const int64_t items = kept_.total * chunks_ * parts_, work = reduced_.total * inner_.size / (chunks_ * parts_) + 1;
    parallel_for(items, std::max<int64_t>(1, 16384 / work), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t part = i % parts_, chunk = i / parts_ % chunks_, row = i / parts_ / chunks_;
        const auto [from, to] = kept_.offsets(row);
        const Piece p{x + from, chunk * kColumns, reduced_.total * part / parts_, reduced_.total * (part + 1) / parts_};
        if (parts_ > 1) some(p, parts + (part * kept_.total + row) * width() + p.column);
        else whole(p, y + to + p.column);
      }
    });
    if (parts_ > 1) join(parts, y);
  }

 private:
  struct Piece {
    const T* x;
    int64_t column, first, last;                   // of the reduced places
  };
  static constexpr int64_t kColumns = 128, kMostParts = 16, kPart = 128;
  int64_t width() const { return inner_.reduced ? 1 : inner_.size; }
  int64_t columns(const Piece& p) const { return std::min(kColumns, width() - p.column); }
  Reduce joining() const { return fn_ == Reduce::sum_squares ? Reduce::sum : fn_; }

  void fold_many(const T* x, int64_t step, int64_t rows, float* acc, int64_t n) const {
    if constexpr (std::is_same_v<T, float>) set_->fold_many(fn_, x, step, rows, acc, n);
    else set_->fold_many_bf16(fn_, x, step, rows, acc, n);
  }
  float row(const T* x) const {
    if constexpr (std::is_same_v<T, float>) return set_->reduce(fn_, x, inner_.size);
    else return set_->reduce_bf16(fn_, x, inner_.size);
  }

  void whole(const Piece& p, T* y) const {
    if constexpr (std::is_same_v<T, float>) {
      some(p, y);
      finish(y, y, columns(p));
    } else {
      alignas(64) float acc[kColumns];
      some(p, acc);
      finish(acc, y, columns(p));
    }
  }
  void finish(float* acc, T* y, int64_t n) const {
    if (share_ != 1) set_->unary(Unary::affine, share_, 0, acc, acc, n);
    if constexpr (!std::is_same_v<T, float>) set_->to_bf16(acc, y, n);
    else if (acc != y) std::copy_n(acc, n, y);
  }

  void some(const Piece& p, float* acc) const {
    if (inner_.reduced) {
      double sum = 0;
      float best = 0;
      for (int64_t i = p.first; i < p.last; ++i) {
        const float v = row(p.x + reduced_.offsets(i).first);
        sum += static_cast<double>(v);
        if (i == p.first) best = v;
        else set_->fold(joining(), &v, &best, 1);
      }
      const bool adds = fn_ != Reduce::max && fn_ != Reduce::min;
      *acc = adds ? static_cast<float>(sum) : best;
      return;
    }
    const int64_t n = columns(p);
    const float start = fn_ == Reduce::max ? -std::numeric_limits<float>::infinity()
                        : fn_ == Reduce::min ? std::numeric_limits<float>::infinity() : 0;
    std::fill_n(acc, n, start);
    if (reduced_.count == 1) {
      const int64_t step = reduced_.at[0].x;
      fold_many(p.x + p.first * step + p.column, step, p.last - p.first, acc, n);
    } else {
      for (int64_t i = p.first; i < p.last; ++i) fold_many(p.x + reduced_.offsets(i).first + p.column, 0, 1, acc, n);
    }
  }

  void join(float* parts, T* y) const {
    for (int64_t row = 0; row < kept_.total; ++row) {
      float* const acc = parts + row * width();
      const int64_t step = kept_.total * width();
      set_->fold_many(joining(), acc + step, step, parts_ - 1, acc, width());
      finish(acc, y + kept_.offsets(row).second, width());
    }
  }

  const Loops* set_;
  Reduce fn_;
  Nest kept_, reduced_;
  Loop inner_{1, 1, 1, false};
  float share_;
  int64_t chunks_, parts_ = 1;
};

PlanPtr plan_reduce(const Site& s) {
  const auto& a = s.attrs<ReduceAttrs>();
  if (!loops().has_reduce(a.fn) || s.operand(0).numel() == 0) return nullptr;
  const LoopNest all = loops_of(s, a);
  if (all.count) {
    const Loop& inner = all.at[all.count - 1];
    if (inner.x != 1 || (!inner.reduced && inner.y != 1)) return nullptr;
  }
  const int64_t reduced = s.operand(0).numel() / std::max<int64_t>(1, s.result().numel());
  if (all_f32(s)) return std::make_shared<ReducePlan<float>>(all, a.fn, reduced);
  if (all_bf16(s)) return std::make_shared<ReducePlan<bfloat16>>(all, a.fn, reduced);
  return nullptr;
}

// Along the fastest axis a row at a time; along another one many rows at a time, element by element.
class SoftmaxPlan final : public Plan {
 public:
  SoftmaxPlan(const Site& s, Memory order, int dim, bool log)
      : set_(&loops()),
        log_(log),
        size_(s.operand(0).shape[dim]),
        step_(strides_for(s.operand(0).shape, order)[dim]),
        rows_(size_ ? s.operand(0).numel() / size_ : 0) {
    name = str_cat("cpu:", set_->name);
  }
  void run(const Args& a, Stream&) const override {
    const float* x = floats(a.in[0]);
    float* y = floats(a.out[0]);
    if (step_ > 1) return columns(x, y);
    parallel_for(rows_, std::max<int64_t>(1, 4096 / (size_ + 1)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) set_->softmax(x + i * size_, y + i * size_, size_, log_);
    });
  }

 private:
  static constexpr int64_t kColumns = 128;

  void columns(const float* x, float* y) const {
    const int64_t chunks = (step_ + kColumns - 1) / kColumns, items = rows_ / step_ * chunks;
    parallel_for(items, std::max<int64_t>(1, 4096 / (size_ * std::min(step_, kColumns) + 1)),
                 [&](int64_t first, int64_t last) {
                   for (int64_t i = first; i < last; ++i) {
                     const int64_t column = i % chunks * kColumns, at = i / chunks * size_ * step_ + column;
                     chunk(x + at, y + at, std::min(kColumns, step_ - column));
                   }
                 });
  }
  void chunk(const float* x, float* y, int64_t n) const {
    alignas(64) float most[kColumns], sum[kColumns], term[kColumns];
    std::fill_n(most, n, -std::numeric_limits<float>::infinity());
    std::fill_n(sum, n, 0.f);
    set_->fold_many(Reduce::max, x, step_, size_, most, n);
    for (int64_t k = 0; k < size_; ++k) {
      float* const row = y + k * step_;
      set_->binary(Binary::sub, x + k * step_, 1, most, 1, row, n);
      set_->unary(Unary::exp, 0, 0, row, log_ ? term : row, n);
      set_->fold(Reduce::sum, log_ ? term : row, sum, n);
    }
    if (log_) set_->unary(Unary::log, 0, 0, sum, sum, n);
    for (int64_t k = 0; k < size_; ++k)
      set_->binary(log_ ? Binary::sub : Binary::div, y + k * step_, 1, sum, 1, y + k * step_, n);
  }

  const Loops* set_;
  bool log_;
  int64_t size_, step_, rows_;
};
template <bool Log>
PlanPtr plan_softmax(const Site& s) {
  const Meta& x = s.operand(0);
  if (!all_f32(s) || x.rank() == 0) return nullptr;
  for (const Memory order : {Memory::contiguous, Memory::channels_last})
    if (lies_as(x, order) && lies_as(s.result(), order))
      return std::make_shared<SoftmaxPlan>(s, order, static_cast<int>(s.attrs<AxisAttrs>().dim), Log);
  return nullptr;
}

constexpr Kernel table[] = {
    {&ops::reduce, plan_reduce}, {&ops::softmax, plan_softmax<false>}, {&ops::log_softmax, plan_softmax<true>}};

}  // namespace

std::span<const Kernel> reduce_kernels() { return table; }

}  // namespace fovea::kernels::cpu
