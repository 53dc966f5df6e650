// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/product.cpp — plans of matrix products and attention by fovea's own tiles, without a vendor's library.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/product.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

constexpr size_t kMostShared = 48 << 10;           // what every GPU lends without being asked

size_t bytes_of(Number n) { return n == Number::f64 ? sizeof(double) : sizeof(float); }

Shape leading(const Shape& s) { return Shape(s.begin(), s.end() - 2); }

// Strides of the batch of a result, then of rows and columns.
Elements matrices(const Meta& m, const Shape& batch, bool transposed = false) {
  Shape whole = batch;
  for (int d = m.rank() - 2; d < m.rank(); ++d) whole.push_back(m.shape[d]);
  Strides strides = expanded_strides(m, whole);
  const int r = batch.size();
  if (transposed) std::swap(strides[r], strides[r + 1]);
  Elements e{nullptr, m.dtype, {}};
  set_strides(e, strides);
  return e;
}

Launch launch_of(const Site& s, const ProductParams& p) {
  const Number n = number_of(s);
  const int64_t tiles = (p.m + kTile - 1) / kTile * ((p.n + kTile - 1) / kTile) * p.batch.count;
  Launch l = for_rows(variant(KernelId::product_f32, n), tiles, INT32_MAX, 0);
  l.shared = static_cast<uint32_t>(2 * kDepth * kLine * bytes_of(n));
  return l;
}

PlanPtr plan_matmul(const Site& s) {
  if (number_of(s) == Number::i64) return nullptr;
  const auto& attrs = s.attrs<MatmulAttrs>();
  const Meta &a = s.operand(0), &y = s.result();
  const Shape batch = leading(y.shape);
  ProductParams p{};
  p.batch = grid_of(batch);
  p.a = matrices(a, batch, attrs.transpose_a), p.b = matrices(s.operand(1), batch, attrs.transpose_b);
  p.y = matrices(y, batch);
  p.m = y.shape[y.rank() - 2], p.n = y.shape[y.rank() - 1];
  p.k = a.shape[a.rank() - (attrs.transpose_a ? 2 : 1)];
  p.scale = attrs.scale;
  auto plan = std::make_shared<LaunchPlan>("matmul");
  plan->add(launch_of(s, p), p, {{&p.a.data, in(0)}, {&p.b.data, in(1)}, {&p.y.data, out()}});
  return plan;
}

// x of any rank is rows of features, which are as far apart as they are long.
PlanPtr plan_linear(const Site& s) {
  const auto& e = s.attrs<LinearAttrs>().epilogue;
  const Meta &x = s.operand(0), &w = s.operand(1), &y = s.result();
  if (!x.is_contiguous() || !y.is_contiguous() || (s.has(3) && !s.operand(3).is_contiguous())) return nullptr;
  ProductParams p{};
  p.n = w.shape[0], p.k = w.shape[1], p.m = p.n ? y.numel() / p.n : 0;
  p.batch = grid_of({});
  p.a = {nullptr, x.dtype, {p.k, 1}}, p.y = {nullptr, y.dtype, {p.n, 1}};
  p.b = {nullptr, w.dtype, {w.strides[1], w.strides[0]}};
  p.scale = 1, p.act = e.act, p.slope_a = e.a, p.slope_b = e.b;
  std::vector<LaunchPlan::Field> fields{{&p.a.data, in(0)}, {&p.b.data, in(1)}, {&p.y.data, out()}};
  if (s.has(2)) fields.push_back({&p.bias.data, in(2)}), p.bias = elements(s.operand(2));
  if (s.has(3)) fields.push_back({&p.residual.data, in(3)}), p.residual = {nullptr, s.operand(3).dtype, {p.n, 1}};
  auto plan = std::make_shared<LaunchPlan>("linear");
  plan->add(launch_of(s, p), p, fields);
  return plan;
}
bool any_epilogue(const Site&, const Epilogue&) { return true; }

PlanPtr plan_sdpa(const Site& s) {
  const auto& attrs = s.attrs<AttentionAttrs>();
  const Meta &q = s.operand(0), &k = s.operand(1), &y = s.result();
  const Number n = number_of(s);
  const Shape batch = leading(y.shape);
  AttentionParams p{};
  p.batch = grid_of(batch);
  p.queries = y.shape[y.rank() - 2], p.values = y.shape[y.rank() - 1];
  p.keys = k.shape[k.rank() - 2], p.depth = q.shape[q.rank() - 1];
  p.q = matrices(q, batch), p.k = matrices(k, batch), p.v = matrices(s.operand(2), batch), p.y = matrices(y, batch);
  p.scale = attrs.scale, p.causal = attrs.causal;
  const size_t shared = (static_cast<size_t>(p.keys) + kMostThreads / kWarp) * bytes_of(n);
  if (shared > kMostShared) return nullptr;
  std::vector<LaunchPlan::Field> fields{
      {&p.q.data, in(0)}, {&p.k.data, in(1)}, {&p.v.data, in(2)}, {&p.y.data, out()}};
  if (s.has(3)) {
    Shape scores = batch;
    scores.push_back(p.queries), scores.push_back(p.keys);
    p.mask.dtype = s.operand(3).dtype;
    set_strides(p.mask, expanded_strides(s.operand(3), scores));
    fields.push_back({&p.mask.data, in(3)});
  }
  Launch l = for_rows(variant(KernelId::attention_f32, n), p.batch.count * p.queries, std::max(p.keys, p.values), 0);
  l.shared = static_cast<uint32_t>(shared);
  auto plan = std::make_shared<LaunchPlan>("attention");
  plan->add(l, p, fields);
  return plan;
}

}  // namespace

std::span<const Kernel> product_kernels() {
  static constexpr Kernel table[] = {
      {&ops::matmul, plan_matmul}, {&ops::linear, plan_linear, any_epilogue}, {&ops::sdpa, plan_sdpa}};
  return table;
}

}  // namespace fovea::cuda
