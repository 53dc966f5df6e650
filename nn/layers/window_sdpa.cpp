// SPDX-License-Identifier: Apache-2.0
// nn/layers/window_sdpa.cpp — window_sdpa().
#include "nn/layers/window_sdpa.h"

#include "nn/layers/attention.h"

namespace fovea {

Tensor window_sdpa(const std::array<Tensor, 3>& qkv, const Tensor& bias, const Tensor& mask,
                   const AttentionOptions& o) {
  const auto& [q, k, v] = qkv;
  if (!mask) return merge_heads(sdpa(q, k, v, bias, o));
  // The mask differs from window to window: they get a dimension of their own.
  const auto apart = [&](const Tensor& t) { return unflatten(t, 0, {-1, mask.dim(0)}); };
  const Tensor both = bias + unsqueeze(cast(mask, bias.dtype()), 1);
  return merge_heads(flatten(sdpa(apart(q), apart(k), apart(v), both, o), 0, 1));
}

}  // namespace fovea
