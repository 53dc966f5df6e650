// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention/stack.h — a stack of matrices: where each of the batch starts, 0 where broadcast.
#pragma once
#include <algorithm>

#include "engine/core/types.h"

namespace fovea::kernels::cpu {

struct Stack {
  Strides batch;
  int64_t row = 0, column = 0;
  Stack() = default;
  Stack(const Meta& m, int lead) : batch(Dims::filled(lead, 0)) {
    const int n = m.rank(), own = n - 2;
    for (int i = std::max(0, own - lead); i < own; ++i)
      if (m.shape[i] != 1) batch[lead - own + i] = m.strides[i];
    if (n >= 2 && m.shape[n - 2] != 1) row = m.strides[n - 2];
    if (n >= 1 && m.shape[n - 1] != 1) column = m.strides[n - 1];
  }
  int64_t start(const Shape& sizes, int64_t index) const {
    int64_t at = 0;
    for (int i = batch.size() - 1; i >= 0; --i) {
      at += index % sizes[i] * batch[i];
      index /= sizes[i];
    }
    return at;
  }
};

}  // namespace fovea::kernels::cpu
