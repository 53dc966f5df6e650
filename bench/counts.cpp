// SPDX-License-Identifier: Apache-2.0
#include "bench/counts.h"

#include "engine/ops/ops.h"

namespace fovea::bench {
namespace {

Counts product(double results, double length) { return {results * length, results}; }

Counts attention(const Site& s) {
  const Meta &q = s.operand(0), &k = s.operand(1);
  const double scores = static_cast<double>(q.numel() / q.dim(-1) * k.dim(-2));
  const Counts a = product(scores, static_cast<double>(q.dim(-1)));
  const Counts b = product(static_cast<double>(s.result().numel()), static_cast<double>(k.dim(-2)));
  return {a.macs + b.macs, a.activations + b.activations};
}

// What an element of the operand costs where there is no product.
double elementwise(const Site& s) {
  if (&s.op == &ops::batch_norm_eval) return s.has(1) ? 2 : 1;
  if (&s.op == &ops::layer_norm || &s.op == &ops::group_norm) return s.has(1) ? 5 : 4;
  return &s.op == &ops::adaptive_avg_pool ? 1 : 0;
}

Counts count(const Site& s) {
  const double results = static_cast<double>(s.result().numel());
  if (&s.op == &ops::conv || &s.op == &ops::linear)
    return product(results, static_cast<double>(s.operand(1).numel() / s.operand(1).dim(0)));
  if (&s.op == &ops::conv_dx)                      // a transposed convolution
    return {static_cast<double>(s.operand(0).numel() * (s.operand(1).numel() / s.operand(1).dim(0))), results};
  if (&s.op == &ops::matmul)
    return product(results, static_cast<double>(s.operand(0).dim(s.attrs<MatmulAttrs>().transpose_a ? -2 : -1)));
  if (&s.op == &ops::sdpa) return attention(s);
  const double each = elementwise(s);
  return {each > 0 ? each * static_cast<double>(s.operand(0).numel()) : 0, 0};
}

}  // namespace

Counts count(const Graph& traced) {
  Counts sum;
  for (const Step& step : traced.steps) {
    const StepSite borrowed(traced, step);
    const Counts one = count(borrowed.site());
    sum.macs += one.macs;
    sum.activations += one.activations;
  }
  return sum;
}

}  // namespace fovea::bench
