// SPDX-License-Identifier: Apache-2.0
// engine/ops/recurrent.cpp — long short-term memory in one or both directions.
#include "engine/ops/recurrent.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/core/node.h"
#include "engine/ops/rules.h"

namespace fovea {
namespace {

void check_operands(const Site& s, int at_x, int at_w) {
  s.want_floating(at_x);
  s.want_same_dtype();
  const Meta &x = s.operand(at_x), &w = s.operand(at_w);
  s.want_rank(at_w, 3);
  const int64_t directions = w.shape[0], hidden = w.shape[2];
  if (x.rank() < 2) s.fail(str_cat("x must be [..., gates] with steps, not ", x.shape));
  if (directions < 1 || directions > 2 || w.shape[1] != 4 * hidden)
    s.fail(str_cat("w must be [1 or 2, 4 H, H], not ", w.shape));
  if (x.shape.back() != directions * 4 * hidden)
    s.fail(str_cat("x has ", x.shape.back(), " gates, but w is for ", directions * 4 * hidden));
  const int dim = s.attrs<AxisAttrs>().dim;
  if (dim < 0 || dim >= x.rank() - 1) s.fail(str_cat("steps cannot be along dim ", dim));
}

Meta results_of(const Meta& x, const Meta& w) {
  return make_meta(x.dtype, with_dim(x.shape, x.rank() - 1, w.shape[0] * w.shape[2]), Memory::contiguous, x.device);
}

Metas infer_lstm(const Site& s) {
  check_operands(s, 0, 1);
  return {results_of(s.operand(0), s.operand(1))};
}

Metas infer_lstm_dx(const Site& s) {
  check_operands(s, 1, 3);
  const Meta &x = s.operand(1), y = results_of(x, s.operand(3));
  for (const int i : {0, 2})
    if (s.operand(i).shape != y.shape) s.fail(str_cat(i == 0 ? "gy" : "y", " is not ", y));
  return {make_meta(x.dtype, x.shape, Memory::contiguous, x.device)};
}

// The results of the step before each, zeros at the first.
Tensor before(const Tensor& y, int dim, bool backward) {
  Dims lo = Dims::filled(y.rank(), 0), hi = lo;
  lo[dim] = backward ? -1 : 1;
  hi[dim] = -lo[dim];
  return pad(y, lo, hi);
}

// One direction by public ops.
struct Direction {
  Tensor gy, x, y, w;
  int dim;
  bool backward;
  Tensor gradient() const {
    const int64_t steps = x.dim(dim);
    const std::vector<Tensor> part = chunk(x + linear(before(y, dim, backward), w), 4, -1);
    const Tensor i = sigmoid(part[0]), f = sigmoid(part[1]), g = tanh(part[2]), o = sigmoid(part[3]);
    const auto at = [&](const Tensor& t, int64_t step) {
      return narrow(t, dim, backward ? steps - 1 - step : step, 1);
    };
    std::vector<Tensor> cells;
    for (int64_t t = 0; t < steps; ++t) {
      const Tensor fresh = at(i, t) * at(g, t);
      cells.push_back(t == 0 ? fresh : at(f, t) * cells.back() + fresh);
    }
    const Tensor c = joined(cells), shown = tanh(c), last = before(c, dim, backward);
    // what the gradients of a step's cell and result are multiplied with
    const Tensor to_cell = o * (1.0 - square(shown)), to_i = g * i * (1.0 - i), to_f = last * f * (1.0 - f),
                 to_g = i * (1.0 - square(g)), to_o = shown * o * (1.0 - o);
    std::vector<Tensor> gates;
    Tensor gc;
    for (int64_t t = steps; t-- > 0;) {
      const Tensor gh = gates.empty() ? at(gy, t) : at(gy, t) + matmul(gates.back(), w);
      const Tensor own = gh * at(to_cell, t);
      gc = gc ? gc * at(f, t + 1) + own : own;
      gates.push_back(cat({gc * at(to_i, t), gc * at(to_f, t), gc * at(to_g, t), gh * at(to_o, t)}, -1));
    }
    std::reverse(gates.begin(), gates.end());
    return joined(gates);
  }
  Tensor joined(std::vector<Tensor> steps) const {
    if (backward) std::reverse(steps.begin(), steps.end());
    return cat(std::span<const Tensor>(steps), dim);
  }
};

Tensors vjp_lstm(const Backward& b) {
  const int dim = b.attrs<AxisAttrs>().dim;
  const Tensor gy = b.grad(), x = b.in(0), w = b.in(1), y = b.out();
  const int64_t directions = w.dim(0), hidden = w.dim(2);
  const bool plain = grad_enabled() || (x.dtype() != DType::f32 && x.dtype() != DType::f64) || x.numel() == 0;
  const auto one = [](const Tensor& t, int64_t d, int64_t size) { return narrow(t, -1, d * size, size); };
  Tensor gx;
  if (!plain) {
    gx = call1(ops::lstm_dx, {gy, x, y, w}, b.attrs<AxisAttrs>());
  } else {
    std::vector<Tensor> all;
    for (int64_t d = 0; d < directions; ++d)
      all.push_back(Direction{one(gy, d, hidden), one(x, d, 4 * hidden), one(y, d, hidden), select(w, 0, d), dim, d > 0}
                        .gradient());
    gx = cat(std::span<const Tensor>(all), -1);
  }
  if (!b.needs(1)) return {gx, {}};
  std::vector<Tensor> gw;
  for (int64_t d = 0; d < directions; ++d) {
    const Tensor gates = reshape(one(gx, d, 4 * hidden), {-1, 4 * hidden});
    gw.push_back(matmul(gates, reshape(before(one(y, d, hidden), dim, d > 0), {-1, hidden}), {.transpose_a = true}));
  }
  return {gx, stack(std::span<const Tensor>(gw), 0)};
}

int64_t work_lstm(const Site& s) { return s.operand(0).numel() * s.operand(1).shape[2]; }

}  // namespace

namespace ops {
constinit const OpDef lstm{.signature = "lstm(x, w) -> y",
                           .infer = infer_lstm,
                           .vjp = vjp_lstm,
                           .saves = {.inputs = 0b11, .outputs = 0b1},
                           .role = Role::product,
                           .work = work_lstm};
constinit const OpDef lstm_dx{.signature = "lstm_dx(gy, x, y, w) -> gx", .infer = infer_lstm_dx, .role = Role::product};
}  // namespace ops

Tensor lstm(const Tensor& x, const Tensor& w, int dim) {
  return call1(ops::lstm, {x, w}, AxisAttrs{.dim = axis_of(ops::lstm, x, dim)});
}

}  // namespace fovea
