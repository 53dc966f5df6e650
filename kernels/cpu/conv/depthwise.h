// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise.h — convolutions in which every channel has its own filter.
#pragma once
#include "kernels/cpu/kernels.h"

namespace fovea::kernels::cpu {

PlanPtr plan_depthwise(const Site& s);             // null when the convolution is none

}  // namespace fovea::kernels::cpu
