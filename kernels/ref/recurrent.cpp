// SPDX-License-Identifier: Apache-2.0
// kernels/ref/recurrent.cpp — long short-term memory and its gradient, a sequence at a time.
#include "engine/ops/recurrent.h"

#include <cmath>

#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

struct Lstm {
  int64_t outer, steps, inner, directions, hidden;
  Lstm(const Source& x, const Source& w, int dim) : outer(1), inner(1), directions(w.dim(0)), hidden(w.dim(2)) {
    for (int i = 0; i < dim; ++i) outer *= x.dim(i);
    for (int i = dim + 1; i < x.rank() - 1; ++i) inner *= x.dim(i);
    steps = x.dim(dim);
  }
  /// The row of x and y for a step, counted from where the direction begins.
  size_t row(int64_t sequence, int64_t step, int64_t direction) const {
    const int64_t at = direction ? steps - 1 - step : step;
    return static_cast<size_t>((sequence / inner * steps + at) * inner + sequence % inner);
  }
  size_t result(int64_t sequence, int64_t step, int64_t direction) const {
    return (row(sequence, step, direction) * static_cast<size_t>(directions) + static_cast<size_t>(direction)) *
           static_cast<size_t>(hidden);
  }
  /// f(sequence, direction)
  template <class F>
  void each(const F& f) const {
    for (int64_t s = 0; s < outer * inner; ++s)
      for (int64_t d = 0; d < directions; ++d) f(s, d);
  }
};

struct Gates {
  double i, f, g, o;
};
/// Of one element of the result, from x's gates, what was before and the weights of the direction.
Gates gates(const double* x, const double* before, const double* w, int64_t hidden, int64_t at) {
  double sum[4];
  for (int64_t k = 0; k < 4; ++k) {
    sum[k] = x[k * hidden + at];
    for (int64_t j = 0; before && j < hidden; ++j) sum[k] += before[j] * w[(k * hidden + at) * hidden + j];
  }
  return {sigmoid(sum[0]), sigmoid(sum[1]), std::tanh(sum[2]), sigmoid(sum[3])};
}

void lstm(const Run& r) {
  const Lstm n(r.in(0), r.in(1), r.attrs<AxisAttrs>().dim);
  const std::vector<double> x = load<double>(r.in(0)), w = load<double>(r.in(1));
  std::vector<double> y(x.size() / 4), cell(static_cast<size_t>(n.hidden));
  n.each([&](int64_t s, int64_t d) {
    const double* before = nullptr;
    for (int64_t t = 0; t < n.steps; ++t) {
      const size_t at = n.result(s, t, d);
      for (int64_t h = 0; h < n.hidden; ++h) {
        const Gates v = gates(x.data() + 4 * at, before, w.data() + d * 4 * n.hidden * n.hidden, n.hidden, h);
        double& c = cell[static_cast<size_t>(h)];
        c = (t ? v.f * c : 0) + v.i * v.g;
        y[at + static_cast<size_t>(h)] = v.o * std::tanh(c);
      }
      before = y.data() + at;
    }
  });
  store(y.data(), r.out());
}

void lstm_dx(const Run& r) {
  const Lstm n(r.in(1), r.in(3), r.attrs<AxisAttrs>().dim);
  const std::vector<double> gy = load<double>(r.in(0)), x = load<double>(r.in(1)), y = load<double>(r.in(2)),
                            w = load<double>(r.in(3));
  const auto hidden = static_cast<size_t>(n.hidden), steps = static_cast<size_t>(n.steps);
  std::vector<double> gx(x.size()), cells(hidden * steps), gc(hidden), gh(hidden);
  std::vector<Gates> all(hidden * steps);
  n.each([&](int64_t s, int64_t d) {
    const double* const weights = w.data() + d * 4 * n.hidden * n.hidden;
    for (size_t t = 0; t < steps; ++t) {
      const size_t at = n.result(s, static_cast<int64_t>(t), d);
      const double* const before = t ? y.data() + n.result(s, static_cast<int64_t>(t) - 1, d) : nullptr;
      for (size_t h = 0; h < hidden; ++h) {
        const Gates v = gates(x.data() + 4 * at, before, weights, n.hidden, static_cast<int64_t>(h));
        all[t * hidden + h] = v;
        cells[t * hidden + h] = (t ? v.f * cells[(t - 1) * hidden + h] : 0) + v.i * v.g;
      }
    }
    for (size_t t = steps; t-- > 0;) {
      const size_t at = n.result(s, static_cast<int64_t>(t), d);
      for (size_t h = 0; h < hidden; ++h) gh[h] = gy[at + h];
      if (t + 1 < steps) {
        const double* const after = gx.data() + 4 * n.result(s, static_cast<int64_t>(t) + 1, d);
        for (size_t k = 0; k < 4 * hidden; ++k)
          for (size_t h = 0; h < hidden; ++h) gh[h] += after[k] * weights[k * hidden + h];
      }
      double* const to = gx.data() + 4 * at;
      for (size_t h = 0; h < hidden; ++h) {
        const Gates& v = all[t * hidden + h];
        const double shown = std::tanh(cells[t * hidden + h]), last = t ? cells[(t - 1) * hidden + h] : 0;
        gc[h] = (t + 1 < steps ? gc[h] * all[(t + 1) * hidden + h].f : 0) + gh[h] * v.o * (1 - shown * shown);
        to[h] = gc[h] * v.g * v.i * (1 - v.i);
        to[hidden + h] = gc[h] * last * v.f * (1 - v.f);
        to[2 * hidden + h] = gc[h] * v.i * (1 - v.g * v.g);
        to[3 * hidden + h] = gh[h] * shown * v.o * (1 - v.o);
      }
    }
  });
  store(gx.data(), r.out());
}

}  // namespace

std::span<const Kernel> recurrent_kernels() {
  static constexpr Kernel table[] = {{&ops::lstm, no_half<lstm>}, {&ops::lstm_dx, no_half<lstm_dx>}};
  return table;
}

}  // namespace fovea::ref
