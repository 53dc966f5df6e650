// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/res2.h — the middle of Res2Net's blocks: groups of channels, each convolved after the one before was added
// to it; https://arxiv.org/abs/1904.01169
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/norm.h"
#include "nn/module.h"

namespace fovea::zoo {

struct Res2Lists {
  Sequential convs, bns;  // one of each for all groups but the last
};
Res2Lists res2_lists(int width, int scale, const Conv2dOptions& conv, const NormSpec& norm, const Act& act);

/// The last group is handed on. Blocks that shrink the map, or begin a stage, pool it, and do not add.
Tensor res2(const Tensor& x, const Sequential& convs, const Sequential& bns, const Maybe<Module>& pool);

}  // namespace fovea::zoo
