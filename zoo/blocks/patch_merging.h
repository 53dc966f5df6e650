// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/patch_merging.h — half the height and width: four neighbours become one token.
#pragma once
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "nn/module.h"

namespace fovea::zoo {

/// N,H,W,C -> N,H/2,W/2,4C, zeros at the end of odd sides; of the four the left ones come first, upper before lower.
Tensor merge_patches(const Tensor& x);

/// merge_patches(), norm and a linear layer; the norm may be last.
class PatchMerging final : public Module {
 public:
  enum class Norm : bool { first, last };
  PatchMerging(int channels, int out, double eps = 1e-5, Norm norm = Norm::first);
  Tensor forward(const Tensor& x) override;

 private:
  bool norm_last_;
  Ref<LayerNorm> norm_;
  Ref<Linear> reduction_;
};

}  // namespace fovea::zoo
