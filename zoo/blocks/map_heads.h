// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/map_heads.h — the pixels of maps N,C,H,W as the tokens of attention heads, and back.
#pragma once
#include "engine/ops/ops.h"

namespace fovea::zoo {

/// N,C,H,W -> [N, heads, H * W, C / heads]
inline Tensor split_map_heads(const Tensor& map, int64_t heads) {
  return permute(reshape(map, {map.dim(0), heads, map.dim(1) / heads, map.dim(2) * map.dim(3)}), {0, 1, 3, 2});
}

/// The way back.
inline Tensor merge_map_heads(const Tensor& x, int64_t height, int64_t width) {
  return reshape(permute(x, {0, 1, 3, 2}), {x.dim(0), x.dim(1) * x.dim(3), height, width});
}

}  // namespace fovea::zoo
