// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/channel_factors.h — a factor for each channel of N,C,H,W, as [C, 1, 1].
#pragma once
#include "engine/ops/ops.h"
#include "nn/module.h"

namespace fovea::zoo {

struct ChannelFactors final : Module {
  Param gamma;
  ChannelFactors(int channels, double start) { gamma = param("gamma", {channels, 1, 1}, init::constant(start)); }
  Tensor forward(const Tensor& x) override { return x * *gamma; }
};

}  // namespace fovea::zoo
