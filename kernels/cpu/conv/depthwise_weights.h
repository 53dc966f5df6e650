// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise_weights.h — the gradient of a depthwise convolution's weights.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

/// Of conv_dw in f32, for one and two spatial dimensions and as many outputs as channels. Null for anything else.
PlanPtr plan_depthwise_dw(const Site& s);

}  // namespace fovea::kernels::cpu
