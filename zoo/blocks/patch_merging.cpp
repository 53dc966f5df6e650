// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/patch_merging.cpp — PatchMerging.
#include "zoo/blocks/patch_merging.h"

#include "engine/ops/ops.h"

namespace fovea::zoo {

Tensor merge_patches(const Tensor& x) {
  const int64_t odd_h = x.dim(1) % 2, odd_w = x.dim(2) % 2;
  const Tensor even = odd_h || odd_w ? pad_last(x, {0, 0, 0, odd_w, 0, odd_h}) : x;
  const int64_t n = even.dim(0), h = even.dim(1) / 2, w = even.dim(2) / 2, c = even.dim(3);
  return reshape(permute(reshape(even, {n, h, 2, w, 2, c}), {0, 1, 3, 4, 2, 5}), {n, h, w, 4 * c});
}

PatchMerging::PatchMerging(int channels, int out, double eps, Norm norm) : norm_last_(norm == Norm::last) {
  if (!norm_last_) norm_ = add("norm", LayerNorm(4 * channels, eps));
  reduction_ = add("reduction", Linear(4 * channels, out, false));
  if (norm_last_) norm_ = add("norm", LayerNorm(out, eps));
}

Tensor PatchMerging::forward(const Tensor& x) {
  const Tensor four = merge_patches(x);
  return norm_last_ ? norm_(reduction_(four)) : reduction_(norm_(four));
}

}  // namespace fovea::zoo
