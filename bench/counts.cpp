// SPDX-License-Identifier: Apache-2.0
#include "bench/counts.h"

#include "engine/ops/ops.h"

namespace fovea::bench {
namespace {

// What an element of the operand costs where there is no product, as fvcore has it.
double elementwise(const Site& s) {
  if (&s.op == &ops::batch_norm_eval) return s.has(1) ? 2 : 1;
  if (&s.op == &ops::layer_norm || &s.op == &ops::group_norm) return s.has(1) ? 5 : 4;
  return &s.op == &ops::adaptive_avg_pool ? 1 : 0;
}

Counts count(const Site& s) {
  if (const double each = elementwise(s); each > 0) return {each * static_cast<double>(s.operand(0).numel()), 0};
  if (!s.op.work) return {};
  double results = static_cast<double>(s.result().numel());
  if (s.op.role == Role::attention)  // two products: the scores are results, too
    results += static_cast<double>(s.operand(0).numel() / s.operand(0).dim(-1) * s.operand(1).dim(-2));
  return {static_cast<double>(s.op.work(s)), results};
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
