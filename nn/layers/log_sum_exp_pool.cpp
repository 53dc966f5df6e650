// SPDX-License-Identifier: Apache-2.0
// nn/layers/log_sum_exp_pool.cpp — a smooth maximum over an image or its tokens.
#include "nn/layers/log_sum_exp_pool.h"

#include "engine/ops/ops.h"

namespace fovea {

LogSumExpPool::LogSumExpPool(Over over, const Options& o) : over_(over), flatten_(o.flatten) {
  const Init start = init::constant(o.sharpness);
  sharpness = o.learned ? param("r", {}, start) : buffer("r", {}, start);
}

Tensor LogSumExpPool::forward(const Tensor& x) {
  const Dims space = over_ == Over::image ? Dims{2, 3} : Dims{1};
  const Tensor largest = amax(x, space, keep_dims);          // taken away first, or exp() would overflow
  const Tensor y = largest + log(mean(exp((x - largest) * *sharpness), space, keep_dims)) / *sharpness;
  if (over_ == Over::tokens) return squeeze(y, 1);
  return flatten_ ? flatten(y, 1) : y;
}

}  // namespace fovea
