// SPDX-License-Identifier: Apache-2.0
// nn/layers/decomposed_bias.cpp — decomposed_bias().
#include "nn/layers/decomposed_bias.h"

#include <algorithm>

#include "engine/ops/ops.h"

namespace fovea {
namespace {

// The row of the table for each query and key of one side: [q, k]. Maps differ in scale by whole numbers; where they do
// not, offsets are cut off to whole ones.
Tensor rows_of(const Tensor& table, int q, int k) {
  const double q_step = std::max(static_cast<double>(k) / q, 1.0), k_step = std::max(static_cast<double>(q) / k, 1.0);
  Tensor index = empty({q, k}, DType::i64);
  int64_t* at = index.mutable_data<int64_t>().data();
  for (int i = 0; i < q; ++i)
    for (int j = 0; j < k; ++j) *at++ = static_cast<int64_t>(i * q_step - j * k_step + (k - 1) * k_step);
  return index_select(table, 0, index.to(table.device()));
}

}  // namespace

Tensor decomposed_bias(const Tensor& q, const Tensor& down, const Tensor& across, Size2 q_map, Size2 k_map) {
  const int64_t n = q.dim(0) * q.dim(1);
  const Tensor map = reshape(q, {n, q_map.h, q_map.w, q.dim(3)});
  const Tensor by_row = einsum("nhwc,hkc->nhwk", map, rows_of(down, q_map.h, k_map.h));
  const Tensor by_column = einsum("nhwc,wkc->nhwk", map, rows_of(across, q_map.w, k_map.w));
  return reshape(unsqueeze(by_row, -1) + unsqueeze(by_column, -2),
                 {q.dim(0), q.dim(1), q.dim(2), int64_t{k_map.h} * k_map.w});
}

}  // namespace fovea
