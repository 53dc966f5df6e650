// SPDX-License-Identifier: Apache-2.0
// engine/ops/peers.cpp — sums over processes, in two ops, so that what stands between them runs meanwhile.
#include "engine/ops/peers.h"

#include "engine/ops/rules.h"

namespace fovea {
namespace {

Metas infer_begin(const Site& s) {
  s.want_same_dtype();
  const Meta& first = s.operand(0);
  if (first.dtype != DType::f32 && first.dtype != DType::f64)
    s.fail(str_cat("sums over processes are of f32 or f64, not of ", name_of(first.dtype)));
  int64_t all = 0;
  for (const Meta& m : s.in) all += m.numel();
  return {make_meta(first.dtype, {all}, Memory::contiguous, first.device)};
}
Tensors vjp_begin(const Backward& b) {
  Tensors out;
  int64_t at = 0;
  for (int i = 0; i < b.inputs(); ++i) {
    const Meta& m = b.in_meta(i);
    out.push_back(b.needs(i) ? reshape(narrow(b.grad(), 0, at, m.numel()), m.shape) : Tensor());
    at += m.numel();
  }
  return out;
}

Metas infer_end(const Site& s) {
  s.want_rank(0, 1);
  return same_as(s.operand(0));
}
// Each process sums what all lose: a number counts in everybody's sum, so it answers for everybody's gradient.
Tensors vjp_end(const Backward& b) { return {sum_over_peers(b.grad())}; }

}  // namespace

namespace ops {
// Called random, for the same operands give other results elsewhere: nobody folds them.
constinit const OpDef peers_begin{.signature = "peers_begin(xs...) -> bucket",
                                  .infer = infer_begin,
                                  .vjp = vjp_begin,
                                  .traits = {.random = true},
                                  .role = Role::move};
constinit const OpDef peers_end{.signature = "peers_end(bucket) -> sums",
                                .infer = infer_end,
                                .vjp = vjp_end,
                                .traits = {.random = true},
                                .role = Role::move};
}  // namespace ops

Tensor begin_sum_over_peers(std::span<const Tensor> xs) {
  if (xs.empty()) throw Error(Error::Kind::argument, "a sum over processes of no tensors");
  return call(ops::peers_begin, xs, {})[0];
}
Tensor end_sum_over_peers(const Tensor& bucket) { return call1(ops::peers_end, {bucket}); }
Tensor sum_over_peers(const Tensor& x) {
  return reshape(end_sum_over_peers(begin_sum_over_peers(std::span(&x, 1))), x.shape());
}

}  // namespace fovea
