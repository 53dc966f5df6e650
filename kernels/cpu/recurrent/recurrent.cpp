// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/recurrent/recurrent.cpp — long short-term memory and its gradient: a few sequences at a time run through
// all of their steps, so that their gates and cells stay in the nearest cache.
#include "engine/ops/recurrent.h"

#include <algorithm>

#include "engine/ops/attrs.h"
#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

class Recurrent : public Plan {
 public:
  Recurrent(const Site& s, const Meta& x, const Meta& w)
      : set_(&loops()),
        directions_(w.shape[0]),
        hidden_(w.shape[2]) {
    const int dim = s.attrs<AxisAttrs>().dim;
    steps_ = x.shape[dim];
    for (int i = dim + 1; i < x.rank() - 1; ++i) inner_ *= x.shape[i];
    sequences_ = x.numel() / (x.shape.back() * steps_);
    gates_ = 4 * hidden_;
    wide_ = whole(gates_);
    name = str_cat("cpu:lstm ", set_->name);
  }

 protected:
  // A few sequences in one direction.
  struct Block {
    int64_t direction, first;
    int rows;
  };
  int64_t whole(int64_t n) const { return (n + set_->lanes - 1) / set_->lanes * set_->lanes; }
  /// The row of x and y of a step, counted from where the direction begins.
  int64_t row(const Block& b, int r, int64_t step) const {
    const int64_t sequence = b.first + r, at = b.direction ? steps_ - 1 - step : step;
    return (sequence / inner_ * steps_ + at) * inner_ + sequence % inner_;
  }
  /// Elements from the start of y to a row of it; four times as many in x.
  int64_t result(const Block& b, int r, int64_t step) const {
    return (row(b, r, step) * directions_ + b.direction) * hidden_;
  }
  template <class F>
  void blocks(const F& f) const {
    const int64_t count = (sequences_ + set_->queries - 1) / set_->queries;
    parallel_for(count * directions_, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t at = i / directions_, first = sequences_ * at / count;
        f(Block{i % directions_, first, static_cast<int>(sequences_ * (at + 1) / count - first)});
      }
    });
  }
  // [D, gates, hidden] -> [D, hidden, gates in whole vectors]
  void turned(const float* w, float* to) const {
    std::fill_n(to, directions_ * hidden_ * wide_, 0.f);
    for (int64_t d = 0; d < directions_; ++d)
      set_->turn(w + d * gates_ * hidden_, hidden_, gates_, hidden_, to + d * hidden_ * wide_, wide_);
  }
  size_t turned_bytes() const { return aligned(static_cast<size_t>(directions_ * hidden_ * wide_) * sizeof(float)); }

  /// y = a b + c for the rows, which are a pointer each.
  void product(int rows, const float* const* a, int64_t depth, const float* b, int64_t b_step, const float* const* c,
               float* y, int64_t y_step, int64_t columns) const {
    static constexpr float one = 1;
    for (int r = 0, n; r < rows; r += n) {
      n = 1;
      const int64_t a_step = rows - r > 1 ? a[r + 1] - a[r] : 0, c_step = rows - r > 1 ? c[r + 1] - c[r] : 0;
      while (r + n < rows && a[r + n] - a[r] == n * a_step && c[r + n] - c[r] == n * c_step) ++n;
      for (int64_t at = 0, width; at < columns; at += width) {
        width = std::min<int64_t>(columns - at, 3 * set_->lanes);
        set_->attention_tile({.a = a[r],
                              .b = b + at,
                              .a_step = a_step,
                              .b_step = b_step,
                              .depth = depth,
                              .gains = &one,
                              .gains_step = 0,
                              .mask = c[r] + at,
                              .mask_step = c_step,
                              .y = y + r * y_step + at,
                              .y_step = y_step,
                              .columns = width,
                              .rows = n,
                              .scores = false});
      }
    }
  }
  /// The gates of a step, activated, and cells, from those of the step before.
  void step(const Block& b, int64_t t, const float* x, const float* y, const float* w, float* gates,
            const float* cells_before, float* cells) const {
    const float *a[kMost], *c[kMost];
    for (int r = 0; r < b.rows; ++r) {
      c[r] = x + 4 * result(b, r, t);
      a[r] = t ? y + result(b, r, t - 1) : nullptr;
    }
    if (t) product(b.rows, a, hidden_, w + b.direction * hidden_ * wide_, wide_, c, gates, gates_, gates_);
    for (int r = 0; r < b.rows; ++r, gates += gates_, cells += hidden_) {
      if (!t) std::copy_n(c[r], gates_, gates);
      set_->unary(Unary::sigmoid, 0, 0, gates, gates, 2 * hidden_);
      set_->unary(Unary::tanh, 0, 0, gates + 2 * hidden_, gates + 2 * hidden_, hidden_);
      set_->unary(Unary::sigmoid, 0, 0, gates + 3 * hidden_, gates + 3 * hidden_, hidden_);
      const float *i = gates, *f = gates + hidden_, *g = gates + 2 * hidden_;
      for (int64_t h = 0; h < hidden_; ++h) cells[h] = (t ? f[h] * cells_before[r * hidden_ + h] : 0.f) + i[h] * g[h];
    }
  }

  static constexpr int kMost = 8;  // sequences in a block
  const Loops* set_;
  int64_t directions_, hidden_, steps_, inner_ = 1, sequences_, gates_, wide_;
};

class LstmPlan final : public Recurrent {
 public:
  explicit LstmPlan(const Site& s) : Recurrent(s, s.operand(0), s.operand(1)), packed_(s.is_constant(1)) {
    if (!packed_) scratch = turned_bytes();
  }
  size_t packed_bytes(int operand) const override { return operand == 1 ? turned_bytes() : 0; }
  void pack(int, const std::byte* in, std::byte* out) const override { turned(floats(in), floats(out)); }
  void run(const Args& a, Stream&) const override {
    const float *x = floats(a.in[0]), *w = packed_ ? floats(a.in[1]) : floats(a.scratch);
    float* const y = floats(a.out[0]);
    if (!packed_) turned(floats(a.in[1]), floats(a.scratch));
    blocks([&](const Block& b) {
      const ThreadArray<float> lent(static_cast<size_t>(b.rows * (gates_ + 2 * hidden_)));
      float *const gates = lent.data(), *const cells = gates + b.rows * gates_, *const shown = cells + b.rows * hidden_;
      for (int64_t t = 0; t < steps_; ++t) {
        step(b, t, x, y, w, gates, cells, cells);
        set_->unary(Unary::tanh, 0, 0, cells, shown, b.rows * hidden_);
        for (int r = 0; r < b.rows; ++r) {
          const float *o = gates + r * gates_ + 3 * hidden_, *of = shown + r * hidden_;
          float* const to = y + result(b, r, t);
          for (int64_t h = 0; h < hidden_; ++h) to[h] = o[h] * of[h];
        }
      }
    });
  }

 private:
  bool packed_;
};

class LstmDxPlan final : public Recurrent {
 public:
  explicit LstmDxPlan(const Site& s) : Recurrent(s, s.operand(1), s.operand(3)) {
    scratch = turned_bytes() + aligned(static_cast<size_t>(directions_ * gates_ * whole(hidden_)) * sizeof(float));
  }
  void run(const Args& a, Stream&) const override {
    const float *gy = floats(a.in[0]), *x = floats(a.in[1]), *y = floats(a.in[2]), *w = floats(a.in[3]);
    float *const forward = floats(a.scratch), *const rows = floats(a.scratch + turned_bytes());
    turned(w, forward);
    const int64_t columns = whole(hidden_);
    std::fill_n(rows, directions_ * gates_ * columns, 0.f);
    for (int64_t k = 0; k < directions_ * gates_; ++k) std::copy_n(w + k * hidden_, hidden_, rows + k * columns);
    blocks([&](const Block& b) { gradient(b, gy, x, y, forward, rows, floats(a.out[0])); });
  }

 private:
  void gradient(const Block& b, const float* gy, const float* x, const float* y, const float* forward,
                const float* back, float* gx) const {
    const int64_t cells_of = b.rows * hidden_, gates_of = b.rows * gates_;
    const ThreadArray<float> lent(static_cast<size_t>(steps_ * (gates_of + cells_of) + 3 * cells_of));
    float *const gates = lent.data(), *const cells = gates + steps_ * gates_of, *const gc = cells + steps_ * cells_of,
                 *const gh = gc + cells_of, *const shown = gh + cells_of;
    for (int64_t t = 0; t < steps_; ++t)
      step(b, t, x, y, forward, gates + t * gates_of, t ? cells + (t - 1) * cells_of : nullptr, cells + t * cells_of);
    std::fill_n(gc, cells_of, 0.f);
    for (int64_t t = steps_; t-- > 0;) {
      const bool last = t + 1 == steps_;
      const float *after[kMost], *own[kMost];
      for (int r = 0; r < b.rows; ++r) {
        own[r] = gy + result(b, r, t);
        after[r] = last ? nullptr : gx + 4 * result(b, r, t + 1);
        if (last) std::copy_n(own[r], hidden_, gh + r * hidden_);
      }
      const int64_t columns = whole(hidden_);
      if (!last)
        product(b.rows, after, gates_, back + b.direction * gates_ * columns, columns, own, gh, hidden_, hidden_);
      set_->unary(Unary::tanh, 0, 0, cells + t * cells_of, shown, cells_of);
      for (int r = 0; r < b.rows; ++r) {
        const float* const v = gates + t * gates_of + r * gates_;
        const float* const next = last ? nullptr : v + gates_of + hidden_;
        const float* const before = t ? cells + (t - 1) * cells_of + r * hidden_ : nullptr;
        dx(v, next, before, shown + r * hidden_, gh + r * hidden_, gc + r * hidden_, gx + 4 * result(b, r, t));
      }
    }
  }
  // Of one row, from its gates, the next step's forget gates and the cells before.
  void dx(const float* v, const float* next, const float* before, const float* shown, const float* gh, float* gc,
          float* to) const {
    const float *i = v, *f = v + hidden_, *g = v + 2 * hidden_, *o = v + 3 * hidden_;
    for (int64_t h = 0; h < hidden_; ++h) {
      const float c = (next ? gc[h] * next[h] : 0.f) + gh[h] * o[h] * (1 - shown[h] * shown[h]);
      gc[h] = c;
      to[h] = c * g[h] * i[h] * (1 - i[h]);
      to[hidden_ + h] = before ? c * before[h] * f[h] * (1 - f[h]) : 0.f;
      to[2 * hidden_ + h] = c * i[h] * (1 - g[h] * g[h]);
      to[3 * hidden_ + h] = gh[h] * shown[h] * o[h] * (1 - o[h]);
    }
  }
};

bool plain(const Site& s) {
  if (!all_f32(s) || s.result().numel() == 0) return false;
  for (const std::span<const Meta>& metas : {s.in, s.out})
    for (const Meta& m : metas)
      if (!lies_as(m, Memory::contiguous)) return false;
  return true;
}
template <class P>
PlanPtr plan(const Site& s) {
  return plain(s) ? std::make_shared<P>(s) : PlanPtr();
}

constexpr Kernel table[] = {{&ops::lstm, plan<LstmPlan>}, {&ops::lstm_dx, plan<LstmDxPlan>}};

}  // namespace

std::span<const Kernel> recurrent_kernels() { return table; }

}  // namespace fovea::kernels::cpu
